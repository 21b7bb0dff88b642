#include "sightglass/train/detail/histogram.hpp"

#include "support/harness/catch.hpp"

using sightglass::detail::histogram;
using torch::Tensor;

TEST_CASE("a histogram counts what lies in its range, the upper end in the last bin", "[histogram]") {
  const Tensor values = torch::tensor({-1.F, 0.F, 0.4F, 1.F, 1.5F, 2.F, 2.1F, std::nanf("")});
  CHECK(histogram(values, 2, 0, 2).equal(torch::tensor({2.F, 3.F})));
}

TEST_CASE("a histogram is torch::histc's", "[histogram]") {
  torch::manual_seed(1);
  const Tensor values = torch::randn({4, 8, 60, 61}) * 4;
  CHECK(histogram(values, 40, 0, 10).equal(values.histc(40, 0, 10)));
  CHECK(histogram(values, 7, -3, 5).equal(values.histc(7, -3, 5)));
  CHECK(histogram(values.transpose(0, 1), 40, 0, 10).equal(values.histc(40, 0, 10)));
  CHECK(histogram(torch::empty({0}), 3, 0, 1).equal(torch::zeros({3})));
}
