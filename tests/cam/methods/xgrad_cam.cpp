#include <sightglass/cam/methods/xgrad_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("xgrad_cam weighs each channel by its gradients, averaged by activation") {
  // Weights 4 / 10 and -9 / 5: (.4 .8 1.2 1.6) - (3.6 1.8 0 3.6), rectified.
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, 2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 0.f, 0.f, /**/ -1.f, -3.f, -2.f, -2.f}).view({1, 2, 2, 2});
  CHECK(support::near(sg::xgrad_cam(a, g), torch::tensor({0.f, 0.f, 1.2f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("xgrad_cam takes one and three spatial dimensions") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, /**/ -1.f, 5.f, -6.f});
  const at::Tensor g = torch::tensor({3.f, 0.f, 0.f, /**/ 2.f, 2.f, 2.f});
  const at::Tensor wanted = torch::tensor({0.f, 11.f, 0.f});  // weights 3 / 6 and -4 / -2
  CHECK(support::near(sg::xgrad_cam(a.view({1, 2, 3}), g.view({1, 2, 3})), wanted.view({1, 3})));
  CHECK(support::near(sg::xgrad_cam(a.view({1, 2, 1, 3, 1}), g.view({1, 2, 1, 3, 1})), wanted.view({1, 1, 3, 1})));
}

TEST_CASE("xgrad_cam conserves: the map sums to gradient times activation") {
  torch::manual_seed(1);
  const at::Tensor a = torch::rand({2, 3, 4, 5}), g = torch::rand({2, 3, 4, 5});  // nothing to rectify
  CHECK(support::near(sg::xgrad_cam(a, g).flatten(1).sum(1), (a * g).flatten(1).sum(1)));
}

TEST_CASE("xgrad_cam gives a channel whose activations sum to 0 no weight") {
  const at::Tensor a = torch::tensor({1.f, -1.f, /**/ 1.f, 3.f}).view({1, 2, 2});
  const at::Tensor g = torch::tensor({5.f, 1.f, /**/ 2.f, 2.f}).view({1, 2, 2});
  CHECK(sg::xgrad_cam(a, g).equal(torch::tensor({{2.f, 6.f}})));
}

TEST_CASE("xgrad_cam says which argument does not fit") {
  CHECK_THROWS_WITH(sg::xgrad_cam(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::xgrad_cam(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]"));
}

TEST_CASE("XGrad-CAM of a net computed on paper, and of a batch") {
  // Gradients are alike at all places, so it is Grad-CAM.
  PaperNet net;
  const auto map = sg::explain(net, PaperNetImpl::picture(), net->features, sg::XGradCam{}, sg::Target(0));
  CHECK(support::near(map.map(), torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  support::check_batch_is_its_images(sg::XGradCam{});
}
