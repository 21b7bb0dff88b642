#include <sightglass/trace/observers/biases.hpp>

#include <functional>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

namespace {

/// The biases of `run`, a function of one tensor, in evaluation, and the gradients of its sum weighted by `weights`.
std::vector<std::shared_ptr<sgd::BiasTerm>> biases_of(const std::function<at::Tensor(const at::Tensor&)>& run,
                                                      const at::Tensor& x, const at::Tensor& weights) {
  sgd::BiasGradients biases;
  const at::Tensor leaf = x.detach().clone().requires_grad_();
  at::Tensor score;
  {
    const sgd::Observed listening(biases);
    score = run(leaf);
  }
  (void)torch::autograd::grad({(score * weights).sum()}, {leaf});
  return biases.terms();
}

}  // namespace

TEST_CASE("a batch norm's bias is what it adds to its scaled input", "[biases]") {
  torch::nn::BatchNorm2d norm(torch::nn::BatchNorm2dOptions(2).eps(.5));
  {
    const torch::NoGradGuard no_gradients;
    norm->weight.copy_(torch::tensor({2.f, 3.f}));
    norm->bias.copy_(torch::tensor({10.f, 20.f}));
    norm->running_mean.copy_(torch::tensor({1.f, -4.f}));
    norm->running_var.copy_(torch::tensor({3.5f, 8.5f}));  // with eps: deviations 2 and 3
  }
  norm->eval();
  const at::Tensor x = torch::ones({1, 2, 1, 2});
  const at::Tensor weights = torch::tensor({1.f, 2.f, 3.f, 4.f}).view({1, 2, 1, 2});
  const auto terms = biases_of([&](const at::Tensor& y) { return norm->forward(y); }, x, weights);
  REQUIRE(terms.size() == 1);
  CHECK(torch::allclose(terms[0]->bias, torch::tensor({10.f - 2.f * 1.f / 2.f, 20.f + 3.f * 4.f / 3.f})));
  CHECK(torch::allclose(terms[0]->bias.view({1, 2, 1, 1}), norm->forward(torch::zeros({1, 2, 1, 1}))));
  CHECK(terms[0]->gradient.equal(weights));
  CHECK_FALSE(terms[0]->bias.requires_grad());

  torch::nn::BatchNorm2d plain(torch::nn::BatchNorm2dOptions(2).affine(false).eps(.5));
  plain->running_mean.copy_(norm->running_mean);
  plain->running_var.copy_(norm->running_var);
  plain->eval();
  const auto implicit = biases_of([&](const at::Tensor& y) { return plain->forward(y); }, x, weights);
  REQUIRE(implicit.size() == 1);
  CHECK(torch::allclose(implicit[0]->bias, torch::tensor({-.5f, 4.f / 3.f})));
}

TEST_CASE("convolutions of every kind are seen where they have a bias, linear layers are not", "[biases]") {
  const at::Tensor x = torch::ones({1, 2, 5});
  const at::Tensor bias = torch::tensor({1.f, 2.f, 3.f});
  const auto none = biases_of(
      [](const at::Tensor& y) {
        return torch::conv1d(y, torch::ones({3, 2, 1}));
      },
      x, torch::ones({1, 3, 5}));
  CHECK(none.empty());
  const auto one = biases_of(
      [&](const at::Tensor& y) {
        return torch::conv1d(y, torch::ones({3, 2, 1}), bias);
      },
      x, torch::ones({1, 3, 5}));
  REQUIRE(one.size() == 1);
  CHECK(one[0]->bias.equal(bias));
  const auto transposed = biases_of(
      [&](const at::Tensor& y) {
        return torch::conv_transpose1d(y, torch::ones({2, 3, 1}), bias);
      },
      x, torch::ones({1, 3, 5}));
  CHECK(transposed.size() == 1);
  torch::nn::Linear linear(5, 4);
  CHECK(biases_of([&](const at::Tensor& y) { return linear->forward(y); }, x, torch::ones({1, 2, 4})).empty());
}

TEST_CASE("the gradient is that at the output, though it is written in place afterwards", "[biases]") {
  const at::Tensor x = torch::tensor({-1.f, 2.f}).view({1, 1, 2});
  const at::Tensor kernel = torch::ones({1, 1, 1}), bias = torch::tensor({.5f});
  const auto terms = biases_of([&](const at::Tensor& y) { return torch::conv1d(y, kernel, bias).mul_(3).relu_(); }, x,
                               torch::ones({1, 1, 2}));
  REQUIRE(terms.size() == 1);
  CHECK(terms[0]->gradient.flatten().equal(torch::tensor({0.f, 3.f})));
}

TEST_CASE("a convolution that the input does not reach has no gradient", "[biases]") {
  const auto terms = biases_of(
      [](const at::Tensor& y) {
        return y + torch::conv1d(torch::ones({1, 1, 2}), torch::ones({1, 1, 1}), torch::ones({1}));
      },
      torch::ones({1, 1, 2}), torch::ones({1, 1, 2}));
  CHECK(terms.empty());
}
