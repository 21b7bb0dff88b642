#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("grad_cam weighs each channel by the mean of its gradients and rectifies the sum") {
  // Means 1 and -2: A0 - 2 A1 = (1 2 3 4) - 2 (2 1 0 2) = (-3 0 3 0), rectified.
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, 4.f, /**/ 2.f, 1.f, 0.f, 2.f}).view({1, 2, 2, 2});
  const at::Tensor g = torch::tensor({4.f, 0.f, 0.f, 0.f, /**/ -1.f, -3.f, -2.f, -2.f}).view({1, 2, 2, 2});
  CHECK(sg::grad_cam(a, g).equal(torch::tensor({0.f, 0.f, 3.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("grad_cam keeps the images of a batch apart") {
  const at::Tensor a = torch::tensor({1.f, 2.f, /**/ 3.f, 4.f}).view({2, 1, 1, 2});
  const at::Tensor g = torch::tensor({1.f, 3.f, /**/ 1.f, 0.f}).view({2, 1, 1, 2});
  CHECK(sg::grad_cam(a, g).equal(torch::tensor({2.f, 4.f, /**/ 1.5f, 2.f}).view({2, 1, 2})));
}

TEST_CASE("grad_cam takes one and three spatial dimensions") {
  const at::Tensor a = torch::tensor({1.f, 2.f, 3.f, /**/ -1.f, 5.f, -6.f});
  const at::Tensor g = torch::tensor({3.f, 0.f, 0.f, /**/ 2.f, 2.f, 2.f});  // means 1 and 2
  const at::Tensor wanted = torch::tensor({0.f, 12.f, 0.f});                // of -1, 12, -9
  CHECK(sg::grad_cam(a.view({1, 2, 3}), g.view({1, 2, 3})).equal(wanted.view({1, 3})));
  CHECK(sg::grad_cam(a.view({1, 2, 3, 1, 1}), g.view({1, 2, 3, 1, 1})).equal(wanted.view({1, 3, 1, 1})));
}

TEST_CASE("grad_cam leaves its arguments as they were") {
  const at::Tensor a = torch::tensor({1.f, -2.f}).view({1, 1, 2});
  const at::Tensor g = torch::tensor({1.f, 1.f}).view({1, 1, 2});
  sg::grad_cam(a, g);
  CHECK(a.equal(torch::tensor({1.f, -2.f}).view({1, 1, 2})));
  CHECK(g.equal(torch::tensor({1.f, 1.f}).view({1, 1, 2})));
}

TEST_CASE("grad_cam says which argument does not fit") {
  CHECK_THROWS_WITH(sg::grad_cam(torch::zeros({2, 3}), torch::zeros({2, 3})),
                    ContainsSubstring("activations: got [2, 3], expected [N, C, *S]"));
  CHECK_THROWS_WITH(sg::grad_cam(torch::zeros({1, 3, 4, 4}), torch::zeros({1, 3, 4, 5})),
                    ContainsSubstring("gradients: got [1, 3, 4, 5]") && ContainsSubstring("[1, 3, 4, 4]"));
}

TEST_CASE("Grad-CAM of a net computed on paper, at its last layer and at an earlier one") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const auto map = [&](const sg::Layer& layer, int64_t index) {
    return sg::explain(net, x, layer, sg::GradCam{}, sg::Target(index)).map();
  };
  CHECK(map(net->features, 0).equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  CHECK(map(net->features, 1).equal(torch::tensor({.25f, 0.f, 0.f, 0.f}).view({1, 2, 2})));
  CHECK(map(net->features[0], 0).equal(torch::tensor({.75f, .75f, .75f, .75f}).view({1, 2, 2})));
  CHECK(map(net->features[0], 1).equal(torch::zeros({1, 2, 2})));
}

TEST_CASE("Grad-CAM of a one-channel net in one and in three dimensions, computed on paper") {
  // score = (the sum over places of the squared activation) * 5, so the gradient is 10 A: its mean times A, rectified.
  struct Net1Impl : torch::nn::Module {
    Net1Impl() : conv(register_module("conv", torch::nn::Conv1d(torch::nn::Conv1dOptions(1, 1, 1).bias(false)))) {
      const torch::NoGradGuard no_gradients;
      conv->weight.fill_(2.f);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).square().sum(2) * 5; }
    torch::nn::Conv1d conv;
  };
  struct Net3Impl : torch::nn::Module {
    Net3Impl() : conv(register_module("conv", torch::nn::Conv3d(torch::nn::Conv3dOptions(1, 1, 1).bias(false)))) {
      const torch::NoGradGuard no_gradients;
      conv->weight.fill_(2.f);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return conv->forward(x).square().sum(at::IntArrayRef{2, 3, 4}) * 5;
    }
    torch::nn::Conv3d conv;
  };
  const at::Tensor x = torch::tensor({1.f, -1.f, 3.f});  // A = 2 -2 6, gradient 20 -20 60, mean 20
  const at::Tensor wanted = torch::tensor({40.f, 0.f, 120.f});
  const auto net1 = std::make_shared<Net1Impl>();
  const auto line = sg::explain(net1, x.view({1, 1, 3}), net1->conv, sg::GradCam{});
  CHECK(line.map().equal(wanted.view({1, 3})));
  CHECK(line.resized({6}).sizes() == at::IntArrayRef({1, 6}));
  const auto net3 = std::make_shared<Net3Impl>();
  const auto volume = sg::explain(net3, x.view({1, 1, 1, 3, 1}), net3->conv, sg::GradCam{});
  CHECK(volume.map().equal(wanted.view({1, 1, 3, 1})));
  CHECK(volume.resized({2, 6, 2}).sizes() == at::IntArrayRef({1, 2, 6, 2}));
}

TEST_CASE("before global average pooling and a linear layer, Grad-CAM is CAM up to scale and rectifier") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3)))),
          fc(register_module("fc", torch::nn::Linear(8, 5))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return fc->forward(torch::adaptive_avg_pool2d(torch::relu(conv->forward(x)), {1, 1}).flatten(1));
    }
    torch::nn::Conv2d conv;
    torch::nn::Linear fc;
  };
  struct WithReluImpl : torch::nn::Module {
    WithReluImpl()
        : features(register_module(
              "features",
              torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 8, 3)), torch::nn::ReLU()))),
          fc(register_module("fc", torch::nn::Linear(8, 5))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return fc->forward(torch::adaptive_avg_pool2d(features->forward(x), {1, 1}).flatten(1));
    }
    torch::nn::Sequential features;
    torch::nn::Linear fc;
  };
  torch::manual_seed(7);
  const auto net = std::make_shared<WithReluImpl>();
  const at::Tensor x = torch::randn({3, 3, 9, 7});  // maps of 7 x 5 = 35 places
  for (int64_t index = 0; index < 5; ++index) {
    const at::Tensor signed_map = sg::explain(net, x, net->features, sg::Cam{}, sg::Target(index)).map();
    const at::Tensor rectified = sg::explain(net, x, net->features, sg::GradCam{}, sg::Target(index)).map();
    CHECK(torch::allclose(rectified * 35, signed_map.relu(), 1e-4, 1e-6));
  }
  // With a rectifier between layer and pooling it is not.
  const auto other = std::make_shared<NetImpl>();
  const at::Tensor signed_map = sg::explain(other, x, other->conv, sg::Cam{}, sg::Target(0)).map();
  const at::Tensor rectified = sg::explain(other, x, other->conv, sg::GradCam{}, sg::Target(0)).map();
  CHECK_FALSE(torch::allclose(rectified * 35, signed_map.relu(), 1e-2, 1e-3));
}
