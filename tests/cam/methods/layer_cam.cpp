#include <sightglass/cam/methods/layer_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("layer_cam weighs each place by its own rectified gradient") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, -2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 1.f, 0.f, /**/ -1.f, 3.f, -2.f, 2.f}).view({1, 2, 2, 2});
  // (4 0 3 0) + (0 3 0 -4), rectified.
  CHECK(sg::layer_cam(a, g).equal(torch::tensor({4.f, 3.f, 3.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("layer_cam takes one and three spatial dimensions") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, /**/ -1.f, 5.f, -6.f});
  const at::Tensor g = torch::tensor({3.f, -1.f, 0.f, /**/ 2.f, 2.f, 2.f});
  const at::Tensor wanted = torch::tensor({1.f, 10.f, 0.f});  // of 3 - 2, 10, -12
  CHECK(sg::layer_cam(a.view({1, 2, 3}), g.view({1, 2, 3})).equal(wanted.view({1, 3})));
  CHECK(sg::layer_cam(a.view({1, 2, 1, 3, 1}), g.view({1, 2, 1, 3, 1})).equal(wanted.view({1, 1, 3, 1})));
}

TEST_CASE("layer_cam says which argument does not fit") {
  CHECK_THROWS_WITH(sg::layer_cam(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::layer_cam(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]"));
}

TEST_CASE("LayerCAM of a net computed on paper") {
  // Class 1 at features: only channel 1 has gradients above 0, 1 / 4 everywhere.
  PaperNet net;
  const auto map = sg::explain(net, PaperNetImpl::picture(), net->features, sg::LayerCam{}, sg::Target(1));
  CHECK(map.map().equal(torch::tensor({.5f, .25f, 0.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("LayerCAM of a batch is that of its images") { support::check_batch_is_its_images(sg::LayerCam{}); }
