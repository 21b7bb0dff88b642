#include <sightglass/cam/methods/hires_cam.hpp>
#include <sightglass/cam/methods/refine_cam.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;

TEST_CASE("RefineCAM is the product of the layers' normalised maps") {
  support::PaperNet net;
  const at::Tensor x = support::PaperNetImpl::picture();
  // Grad-CAM of class 0 is (1.25 1; .75 1) at the features, so (1 .5; 0 .5); twice the layer gives the squares.
  const auto refined = sg::refine_cam(net, x, {sg::Layer(net->features), sg::Layer(net->features)}, sg::Target(0));
  CHECK(torch::allclose(refined.map(), torch::tensor({1.f, .25f, 0.f, .25f}).view({1, 2, 2})));
  CHECK(refined.scores().item<float>() == 4.f);
}

TEST_CASE("RefineCAM of layers of two sizes has the larger, and takes any method") {
  torch::manual_seed(11);
  struct NetImpl : torch::nn::Module {
    NetImpl() {
      register_module("first", first);
      register_module("second", second);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return second->forward(torch::relu(first->forward(x))).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d first{torch::nn::Conv2dOptions(1, 3, 3).padding(1)};
    torch::nn::Conv2d second{torch::nn::Conv2dOptions(3, 2, 2).stride(2)};
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 1, 8, 6});
  const std::vector<sg::Layer> layers{sg::Layer(net->first), sg::Layer(net->second)};
  const auto refined = sg::refine_cam(net, x, layers, sg::Target(1), sg::HiResCam{});
  const auto each = sg::explain(net, x, layers, sg::HiResCam{}, sg::Target(1));
  REQUIRE(refined.map().sizes() == at::IntArrayRef({2, 8, 6}));
  const at::Tensor enlarged = torch::upsample_bilinear2d(each[1].normalised().unsqueeze(1), {8, 6}, false).squeeze(1);
  CHECK(torch::allclose(refined.map(), each[0].normalised() * enlarged, 1e-5, 1e-6));
}
