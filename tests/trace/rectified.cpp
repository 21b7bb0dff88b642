#include <sightglass/trace/observers/rectified.hpp>

#include <functional>
#include <vector>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

TEST_CASE("gradients below 0 stop at every kind of ReLU, and only there", "[rectified]") {
  const std::vector<std::function<at::Tensor(const at::Tensor&)>> kinds{
      [](const at::Tensor& x) { return torch::relu(x); },
      [](const at::Tensor& x) { return at::Tensor(x).relu_(); },
      [](const at::Tensor& x) { return torch::nn::functional::relu6(x); },
      [](const at::Tensor& x) { return torch::nn::ReLU6(torch::nn::ReLU6Options(true))->forward(x); },
      [](const at::Tensor& x) { return torch::nn::ReLU()->forward(x); },
  };
  for (const auto& relu : kinds) {
    const at::Tensor x = torch::tensor({1.f, 2.f, -3.f, 4.f}).requires_grad_();
    at::Tensor score;
    {
      sgd::RectifiedGradients guided;
      const sgd::Observed listening(guided);
      score = (relu(x * 1) * torch::tensor({1.f, -1.f, 1.f, 2.f})).sum();
    }
    CHECK(torch::autograd::grad({score}, {x}).front().equal(torch::tensor({1.f, 0.f, 0.f, 2.f})));
  }
  const at::Tensor x = torch::tensor({1.f, 2.f}).requires_grad_();
  sgd::RectifiedGradients guided;
  const sgd::Observed listening(guided);
  const at::Tensor score = (x.tanh() * torch::tensor({-1.f, 1.f})).sum();
  CHECK(torch::autograd::grad({score}, {x}).front()[0].item<float>() < 0);
}
