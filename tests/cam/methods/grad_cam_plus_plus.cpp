#include <sightglass/cam/methods/grad_cam_plus_plus.hpp>

#include <algorithm>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("grad_cam_plus_plus weighs rectified gradients by alpha") {
  // Channel 0: alpha = 1 / (2 + 10 * 4) at the first place, weight 4 / 42. Channel 1: nothing above 0.
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, 2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 0.f, 0.f, /**/ -1.f, -3.f, -2.f, -2.f}).view({1, 2, 2, 2});
  CHECK(support::near(sg::grad_cam_plus_plus(a, g), a.select(1, 0) * 4 / 42));
}

TEST_CASE("grad_cam_plus_plus is the paper's formula, in loops, in one and three spatial dimensions") {
  torch::manual_seed(1);
  const at::Tensor a = torch::rand({3, 6}), g = torch::randn({3, 6});
  at::Tensor wanted = torch::zeros({6});
  for (int64_t k = 0; k < 3; ++k) {
    double weight = 0;
    for (int64_t s = 0; s < 6; ++s) {
      const double slope = g[k][s].item<double>();
      const double alpha = slope * slope / (2 * slope * slope + a[k].sum().item<double>() * slope * slope * slope);
      weight += alpha * std::max(slope, 0.0);
    }
    wanted += a[k] * weight;
  }
  wanted = wanted.relu();
  CHECK(support::near(sg::grad_cam_plus_plus(a.view({1, 3, 6}), g.view({1, 3, 6})), wanted.view({1, 6})));
  CHECK(support::near(sg::grad_cam_plus_plus(a.view({1, 3, 1, 2, 3}), g.view({1, 3, 1, 2, 3})),
                      wanted.view({1, 1, 2, 3})));
}

TEST_CASE("grad_cam_plus_plus takes alpha as 0 where its denominator is 0, and keeps small gradients") {
  const at::Tensor a = torch::tensor({{{-2.f, 1.f}}});
  // The sum is -1: 2 * 4 - 8 = 0 at the first place; 1 / (2 - 1) at the second.
  CHECK(sg::grad_cam_plus_plus(a, torch::tensor({{{2.f, 1.f}}})).equal(torch::tensor({{0.f, 1.f}})));
  // 1 / (2 + 2e-12) at both places, so the weight is 1e-12; an epsilon would leave nothing of it.
  const at::Tensor ones = torch::ones({1, 1, 2});
  CHECK(torch::allclose(sg::grad_cam_plus_plus(ones, ones * 1e-12) * 1e12, torch::ones({1, 2}), 1e-4, 0));
}

TEST_CASE("grad_cam_plus_plus says which argument does not fit") {
  CHECK_THROWS_WITH(sg::grad_cam_plus_plus(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::grad_cam_plus_plus(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]"));
}

TEST_CASE("Grad-CAM++ of a net computed on paper, and of a batch") {
  // Class 1 at features: weight 4 * (1 / (2 + 3 / 4)) / 4 = 4 / 11 for channel 1, none for channel 0.
  PaperNet net;
  const auto map = sg::explain(net, PaperNetImpl::picture(), net->features, sg::GradCamPlusPlus{}, sg::Target(1));
  CHECK(support::near(map.map(), torch::tensor({8.f, 4.f, 0.f, 0.f}).view({1, 2, 2}) / 11));
  support::check_batch_is_its_images(sg::GradCamPlusPlus{});
}
