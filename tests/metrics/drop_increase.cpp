#include <sightglass/cam/explain.hpp>
#include <sightglass/metrics/drop_increase.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;
using support::maps_of;

namespace {

/// Two scores: the sum of the pixels, and its negative.
struct SumImpl : torch::nn::Module {
  SumImpl() {
    register_module("conv", conv);
    const torch::NoGradGuard no_gradients;
    conv->weight.copy_(torch::tensor({1.f, -1.f}).view({2, 1, 1, 1}));
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).flatten(2).sum(2); }
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 2, 1).bias(false)};
};

}  // namespace

TEST_CASE("drop is the share of the score that the mask takes, increase whether it rose") {
  const auto net = std::make_shared<SumImpl>();
  const at::Tensor x = torch::tensor({1.f, 3.f, 4.f, 2.f, /**/ 5.f, -3.f, 1.f, 1.f}).view({2, 1, 2, 2});
  const at::Tensor maps = torch::tensor({0.f, 1.f, 1.f, 0.f, /**/ 2.f, 0.f, 0.f, 0.f}).view({2, 2, 2});
  // Image 0: 10 becomes 7. Image 1: 4 becomes 5.
  const sg::DropIncrease found = sg::drop_increase(net, x, maps_of(maps), sg::Target(0));
  CHECK(torch::allclose(found.drop, torch::tensor({.3f, 0.f})));
  CHECK(found.increase.equal(torch::tensor({0.f, 1.f})));
}

TEST_CASE("the reference has the map's values at random places, the same for the same seed") {
  const auto net = std::make_shared<SumImpl>();
  torch::manual_seed(0);
  const at::Tensor x = torch::rand({1, 1, 8, 8});
  at::Tensor map = torch::zeros({1, 8, 8});
  map.slice(1, 0, 4).fill_(1);
  const at::Tensor bright = x * (map.unsqueeze(1) * 9 + 1);  // the object is where the map is
  const auto found = sg::drop_increase(net, bright, maps_of(map), sg::Target(0), 7);
  CHECK(found.drop.item<float>() < 0.2f);
  CHECK(found.reference_drop.item<float>() > 0.3f);
  CHECK(found.reference_drop.equal(sg::drop_increase(net, bright, maps_of(map), sg::Target(0), 7).reference_drop));
}

TEST_CASE("a score that is not above 0 has no drop") {
  const auto net = std::make_shared<SumImpl>();
  const auto found = sg::drop_increase(net, torch::ones({1, 1, 2, 2}), maps_of(torch::rand({1, 2, 2})), sg::Target(1));
  CHECK(found.drop.item<float>() == 0.f);
}

TEST_CASE("an explanation of another batch is an error") {
  const auto net = std::make_shared<SumImpl>();
  CHECK_THROWS_WITH(sg::drop_increase(net, torch::ones({2, 1, 2, 2}), maps_of(torch::rand({1, 2, 2}))),
                    ContainsSubstring("explanation: got one of 1 images for an input of 2"));
}
