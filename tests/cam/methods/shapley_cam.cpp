#include <sightglass/cam/methods/shapley_cam.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("ShapleyCAM is Grad-CAM where the rest of the net is piecewise linear") {
  PaperNet net;
  const auto map = [&](const sg::Layer& layer, int64_t index) {
    return sg::explain(net, PaperNetImpl::picture(), layer, sg::ShapleyCam{}, sg::Target(index)).map();
  };
  CHECK(map(net->features, 0).equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  CHECK(map(net->features[0], 0).equal(torch::full({1, 2, 2}, .75f)));
}

TEST_CASE("ShapleyCAM takes off half the Hessian times the activations") {
  // score = sum A^2: gradient 2 A, Hessian 2, weight mean(2 A - A). A = 2 -2 6, mean 2.
  struct NetImpl : torch::nn::Module {
    NetImpl() : conv(register_module("conv", torch::nn::Conv1d(torch::nn::Conv1dOptions(1, 1, 1).bias(false)))) {
      const torch::NoGradGuard no_gradients;
      conv->weight.fill_(2.f);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).square().sum(2); }
    torch::nn::Conv1d conv;
  };
  const auto net = std::make_shared<NetImpl>();
  const auto map = sg::explain(net, torch::tensor({{{1.f, -1.f, 3.f}}}), net->conv, sg::ShapleyCam{}).map();
  CHECK(map.equal(torch::tensor({{4.f, 0.f, 12.f}})));
}

TEST_CASE("ShapleyCAM's Hessian has the terms between channels") {
  // score = sum A0 A1: gradients (A1, A0), Hessian times A the same, weights (mean A1, mean A0) / 2.
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).prod(1).sum(1, true); }
    sg::HookPoint here;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::tensor({1.f, 3.f, /**/ 4.f, 8.f}).view({1, 2, 2});  // means 2 and 6
  const auto map = sg::explain(net, x, net->here, sg::ShapleyCam{}).map();
  CHECK(support::near(map, torch::tensor({{3.f + 4.f, 9.f + 8.f}})));
}

TEST_CASE("ShapleyCAM of a batch is that of its images") { support::check_batch_is_its_images(sg::ShapleyCam{}); }

TEST_CASE("ShapleyCAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::ShapleyCam{});
}
