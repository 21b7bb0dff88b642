#include <sightglass/sightglass.hpp>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// How much the score falls, to first order, when half of what the layer says at a place is taken away.
struct HalfGone {
  torch::Tensor operator()(const sg::Cut& cut) const {
    return (cut.gradients() * cut.activations() / 2).sum(1).relu();  // [N, C, h, w] -> [N, h, w]
  }
};

/// The same without gradients: each place is really halved, and the rest of the model run again.
struct HalvedPlaces {
  static constexpr sg::Tail tail = sg::Tail::again;  // it asks for such runs: `explain` prepares for them

  torch::Tensor operator()(const sg::Cut& cut) const {
    const torch::Tensor a = cut.activations();  // [N, C, h, w]
    const int64_t h = a.size(2), w = a.size(3);
    const torch::Tensor images = torch::arange(a.size(0), torch::kLong);  // row j was made from image j
    torch::Tensor map = torch::empty({a.size(0), h, w}, a.options());
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        torch::Tensor halved = a.clone();
        halved.select(2, y).select(2, x).div_(2);
        map.select(1, y).select(1, x).copy_(cut.scores() - cut.scores_with(halved, images));
      }
    }
    return map;
  }
};

}  // namespace

TEST_CASE("the methods of docs/writing-a-method.md are methods as any other") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({2, 3, 64, 64});

  sg::Explanation ours = sg::explain(net, input, net->layer4, HalfGone{}, 281);
  sg::Explanation tried = sg::explain(net, input, net->layer4, HalvedPlaces{}, 281);
  sg::Explanation norm =
      sg::explain(net, input, net->layer4, [](const sg::Cut& cut) { return cut.activations().square().sum(1); });

  // What lies behind layer4 is linear (mean and a linear layer), so the two agree where the first is not rectified.
  CHECK(ours.map().allclose(tried.map().relu(), 1e-3, 1e-5));
  CHECK(norm.map().sizes() == at::IntArrayRef({2, 2, 2}));
}
