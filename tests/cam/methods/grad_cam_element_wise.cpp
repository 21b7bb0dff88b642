#include <sightglass/cam/methods/grad_cam_element_wise.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("grad_cam_element_wise rectifies each product before it sums over channels") {
  // relu(4 0 0 0) + relu(-2 -3 0 -4)
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, 2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 0.f, 0.f, /**/ -1.f, -3.f, -2.f, -2.f}).view({1, 2, 2, 2});
  CHECK(sg::grad_cam_element_wise(a, g).equal(torch::tensor({4.f, 0.f, 0.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("grad_cam_element_wise takes one and three spatial dimensions") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, /**/ -1.f, 5.f, -6.f});
  const at::Tensor g = torch::tensor({3.f, 0.f, 0.f, /**/ 2.f, 2.f, 2.f});
  const at::Tensor wanted = torch::tensor({3.f, 10.f, 0.f});  // (3 0 0) + relu(-2 10 -12)
  CHECK(sg::grad_cam_element_wise(a.view({1, 2, 3}), g.view({1, 2, 3})).equal(wanted.view({1, 3})));
  CHECK(sg::grad_cam_element_wise(a.view({1, 2, 1, 3, 1}), g.view({1, 2, 1, 3, 1})).equal(wanted.view({1, 1, 3, 1})));
}

TEST_CASE("grad_cam_element_wise says which argument does not fit") {
  CHECK_THROWS_WITH(sg::grad_cam_element_wise(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::grad_cam_element_wise(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]"));
}

TEST_CASE("Grad-CAM element-wise of a net computed on paper") {
  // Class 1 at features.0: products (-1 -2 -3 -4) / 4 and (2 1 0 0) / 4.
  PaperNet net;
  const auto map = sg::explain(net, PaperNetImpl::picture(), net->features[0], sg::GradCamElementWise{}, sg::Target(1));
  CHECK(map.map().equal(torch::tensor({.5f, .25f, 0.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("Grad-CAM element-wise of a batch is that of its images") {
  support::check_batch_is_its_images(sg::GradCamElementWise{});
}
