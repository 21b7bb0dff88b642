#include <sightglass/trace/owner_store.hpp>

#include <memory>
#include <string>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

TEST_CASE("a value is kept while its owner lives, and is not given to another of the same key", "[owner_store]") {
  sgd::OwnerStore<int, std::string> store;
  auto owner = std::make_shared<int>(1);
  const auto other = std::make_shared<int>(2);
  const auto value = std::make_shared<const std::string>("found");
  const std::weak_ptr<const void> of_owner(owner), of_other(other);
  CHECK(store.find(7, of_owner) == nullptr);
  store.put(7, of_owner, value);
  CHECK(store.find(7, of_owner) == value);
  CHECK(store.find(8, of_owner) == nullptr);
  CHECK(store.find(7, of_other) == nullptr);
  owner.reset();
  store.put(8, of_other, value);  // lets go of what nobody owns
  CHECK(value.use_count() == 2);
}
