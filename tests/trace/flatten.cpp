#include "sightglass/trace/learning/flatten.hpp"

#include <map>
#include <string>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct Pair {
  Tensor logits, value;
};
struct Mixed {
  int64_t count;
  std::vector<Pair> pairs;
  std::string note;
};
struct Plain {
  int a;
  double b;
};

Tensor number(double value) { return torch::full({}, value); }

}  // namespace

TEST_CASE("tensors are found in whatever a forward returns, in order", "[flatten]") {
  static_assert(sgd::holds_tensors<Tensor>() && sgd::holds_tensors<Mixed>());
  static_assert(sgd::holds_tensors<std::map<std::string, Tensor>>());
  static_assert(sgd::holds_tensors<std::tuple<int, c10::optional<Tensor>>>());
  static_assert(!sgd::holds_tensors<Plain>() && !sgd::holds_tensors<std::vector<bool>>() &&
                !sgd::holds_tensors<void>());
  const Mixed mixed{7, {{number(1), number(2)}, {number(3), Tensor()}}, "x"};
  sgd::Tensors found;
  sgd::flatten(std::make_tuple(number(0), mixed, c10::optional<Tensor>(number(5)), c10::optional<Tensor>()), found);
  REQUIRE(found.size() == 6);
  CHECK(found[0].item<double>() == 0);
  CHECK(found[3].item<double>() == 3);
  CHECK_FALSE(found[4].defined());  // undefined ones keep their places
  CHECK(found[5].item<double>() == 5);
}

TEST_CASE("tensors are put back in the same order", "[flatten]") {
  std::tuple<Tensor, std::vector<Pair>> value{number(1), {{number(2), number(3)}}};
  const Tensor kept = std::get<0>(value);
  CHECK(sgd::refill(value, {kept, number(20), number(30)}) == 3);
  CHECK(std::get<0>(value).is_same(kept));
  CHECK(std::get<1>(value)[0].logits.item<double>() == 20);
  CHECK(std::get<1>(value)[0].value.item<double>() == 30);
}
