#include "sightglass/trace/subscriber.hpp"

#include <thread>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct Silent final : sgd::Subscriber {
  void leave(const std::vector<Tensor>& /*inputs*/, std::vector<Tensor>& /*outputs*/) override {}
  void miss(const std::string& /*why*/) override {}
};

}  // namespace

TEST_CASE("a subscriber leaves inputs as they are, and wants them, unless it says otherwise", "[subscriber]") {
  Silent silent;
  const Tensor x = torch::ones({2});
  CHECK(silent.enter(0, x, sgd::Arrival::in_time).is_same(x));
  CHECK(silent.wants_inputs());
  CHECK_NOTHROW(silent.read_elsewhere("a look at a parameter"));
}

TEST_CASE("a subscriber is removed from any thread, once and for all", "[subscriber]") {
  Silent silent;
  CHECK_FALSE(silent.removed());
  std::thread([&] { silent.remove(); }).join();
  CHECK(silent.removed());
  silent.remove();
  CHECK(silent.removed());
}
