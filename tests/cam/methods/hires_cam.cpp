#include <sightglass/cam/methods/hires_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("hires_cam multiplies place by place before it sums over channels and rectifies") {
  // (4 0 0 0) + (-2 -3 0 -4), rectified.
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, 2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 0.f, 0.f, /**/ -1.f, -3.f, -2.f, -2.f}).view({1, 2, 2, 2});
  CHECK(sg::hires_cam(a, g).equal(torch::tensor({2.f, 0.f, 0.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("hires_cam takes one and three spatial dimensions") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, /**/ -1.f, 5.f, -6.f});
  const at::Tensor g = torch::tensor({3.f, 0.f, 0.f, /**/ 2.f, 2.f, 2.f});
  const at::Tensor wanted = torch::tensor({1.f, 10.f, 0.f});  // of 1, 10, -12
  CHECK(sg::hires_cam(a.view({1, 2, 3}), g.view({1, 2, 3})).equal(wanted.view({1, 3})));
  CHECK(sg::hires_cam(a.view({1, 2, 1, 3, 1}), g.view({1, 2, 1, 3, 1})).equal(wanted.view({1, 1, 3, 1})));
}

TEST_CASE("hires_cam says which argument does not fit") {
  CHECK_THROWS_WITH(sg::hires_cam(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::hires_cam(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]"));
}

TEST_CASE("before pooling and a linear layer, HiResCAM is CAM up to scale, and its sum is the score less the bias") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const auto first = sg::explain(net, x, net->features, sg::HiResCam{}, sg::Target(0));
  CHECK(first.map().equal(torch::tensor({5.f, 4.f, 3.f, 4.f}).view({1, 2, 2}) / 4));
  const auto second = sg::explain(net, x, net->features, sg::HiResCam{}, sg::Target(1));
  CHECK(second.map().equal(torch::tensor({.25f, 0.f, 0.f, 0.f}).view({1, 2, 2})));
  net->fc = net->replace_module("fc", torch::nn::Linear(2, 2));
  net->eval();
  const torch::NoGradGuard no_gradients;
  net->fc->weight.fill_(1.5f);  // nothing to rectify
  net->fc->bias.fill_(7.f);
  const auto whole = sg::explain(net, x, net->features, sg::HiResCam{}, sg::Target(0));
  CHECK((whole.map().sum() + 7).item<float>() == Approx(whole.scores().item<float>()));
}

TEST_CASE("HiResCAM of a batch is that of its images") { support::check_batch_is_its_images(sg::HiResCam{}); }
