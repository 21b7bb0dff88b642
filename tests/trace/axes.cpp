#include "sightglass/trace/observers/axes.hpp"

#include <torch/torch.h>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using sgd::Axes;
using torch::Tensor;

namespace {

/// What is known of the tensor that `run` returns, from the operations that it performs.
template <class Run>
Axes axes(Run&& run) {
  sgd::AxisObserver observer;
  Tensor looked_at;
  {
    const sgd::Observed listening(observer);
    looked_at = run();
  }
  return observer.axes_of(looked_at.unsafeGetTensorImpl());
}

}  // namespace

TEST_CASE("convolutions, pooling and batch norm have their channels first, linear layers and layer norm last",
          "[axes]") {
  const Tensor x = torch::randn({1, 3, 8, 8}), weight = torch::randn({4, 3, 3, 3}), square = torch::randn({8, 8});
  CHECK(axes([&] { return torch::conv2d(x, weight); }) == Axes::channels_first);
  CHECK(axes([&] { return torch::max_pool2d(x, 2); }) == Axes::channels_first);
  CHECK(axes([&] { return torch::linear(x, square); }) == Axes::channels_last);
  CHECK(axes([&] { return x.matmul(square); }) == Axes::channels_last);
  CHECK(axes([&] { return torch::layer_norm(x, {8}); }) == Axes::channels_last);
  CHECK(axes([&] { return torch::layer_norm(x, {3, 8, 8}); }) == Axes::unknown);
  CHECK(axes([&] { return x * 2; }) == Axes::unknown);
}

TEST_CASE("what reads a tensor tells of it as well as what made it", "[axes]") {
  const Tensor square = torch::randn({8, 8});
  const auto read_by = [&](auto&& reader) {
    return axes([&] {
      Tensor y = torch::randn({1, 3, 8, 8}) * 2;
      reader(y.relu());
      return y;
    });
  };
  CHECK(read_by([&](const Tensor& y) { torch::linear(y, square); }) == Axes::channels_last);
  CHECK(read_by([&](const Tensor& y) { y.mean({2, 3}); }) == Axes::channels_first);
  CHECK(read_by([&](const Tensor& y) { y.mean({1, 2}); }) == Axes::channels_last);
  CHECK(read_by([&](const Tensor& y) { y.mean({0}); }) == Axes::unknown);
  CHECK(read_by([&](const Tensor& y) { torch::max_pool2d(y.permute({0, 3, 1, 2}), 2); }) == Axes::channels_last);
}

TEST_CASE("permutations change it, and what keeps a shape keeps it", "[axes]") {
  const Tensor x = torch::randn({1, 3, 8, 6}), weight = torch::randn({4, 3, 3, 3});
  const auto conv = [&] { return torch::conv2d(x, weight); };
  CHECK(axes([&] { return conv().permute({0, 2, 3, 1}); }) == Axes::channels_last);
  CHECK(axes([&] { return conv().permute({0, 2, 3, 1}).contiguous().relu() + 1; }) == Axes::channels_last);
  CHECK(axes([&] { return conv().flatten(2); }) == Axes::channels_first);
  CHECK(axes([&] { return conv().flatten(2).transpose(1, 2); }) == Axes::channels_last);
  CHECK(axes([&] { return conv().permute({0, 2, 1, 3}); }) == Axes::unknown);
  CHECK(axes([&] { return conv().permute({1, 0, 2, 3}); }) == Axes::unknown);
}

TEST_CASE("the grids of convolutions are noted in order", "[axes]") {
  sgd::AxisObserver observer;
  {
    const sgd::Observed listening(observer);
    const Tensor y = torch::conv2d(torch::randn({1, 3, 9, 7}), torch::randn({4, 3, 3, 3}));
    torch::conv2d(y, torch::randn({2, 4, 1, 1}));
  }
  CHECK(observer.grids() == std::vector<std::vector<int64_t>>{{7, 5}, {7, 5}});
}
