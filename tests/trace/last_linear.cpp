#include <sightglass/trace/observers/last_linear.hpp>

#include <torch/torch.h>

#include <functional>

#include "support/harness/catch.hpp"

using namespace sightglass::detail;
using torch::Tensor;

namespace {

/// A convolution's activations, and 20 classes' scores behind them.
struct Head {
  Tensor activations;
  Tensor output;
};
Head run(torch::nn::Linear& fc, int64_t images) {
  torch::manual_seed(2);
  const Tensor activations = torch::randn({images, 6, 3, 4}).requires_grad_();
  return {activations, fc->forward(activations.tanh().mean(at::IntArrayRef{2, 3}))};
}

/// By autograd alone, against `gradients_of`; and whether rows of weights were left out.
void check(const std::function<Tensor(const Tensor&)>& score, bool few) {
  torch::nn::Linear fc(6, 20);
  const Head head = run(fc, 3);
  const Tensor y = score(head.output);
  const Tensor wanted =
      torch::autograd::grad({y}, {head.activations}, {torch::ones_like(y)}, /*retain_graph=*/true).front();
  CHECK(torch::allclose(gradients_of(y, head.output, {head.activations}).front(), wanted, 1e-5, 1e-7));
  const Tensor at_output =
      torch::autograd::grad({y}, {head.output}, {torch::ones_like(y)}, /*retain_graph=*/true).front();
  CHECK(before_last_linear(head.output, at_output).has_value() == few);
  CHECK_FALSE(fc->weight.grad().defined());
}

}  // namespace

TEST_CASE("the gradient of one class reads that class's weights only") {
  check([](const Tensor& output) { return output.select(1, 7); }, true);
  check([](const Tensor& output) { return output.gather(1, torch::tensor({{3}, {19}, {3}})).squeeze(1); }, true);
  check([](const Tensor& output) { return output.select(1, 2) * 3 - output.select(1, 4); }, true);
}

TEST_CASE("the gradient of a class an image is its row of the weights, without a look at values") {
  torch::nn::Linear fc(6, 20);
  const Head head = run(fc, 3);
  const Tensor classes = torch::tensor({3, 19, 3});
  const Tensor score = head.output.gather(1, classes.unsqueeze(1)).squeeze(1);
  const Tensor wanted = torch::autograd::grad({score.sum()}, {head.activations}, {}, /*retain_graph=*/true).front();
  CHECK(torch::allclose(gradients_of(score, head.output, {head.activations}, classes).front(), wanted, 1e-5, 1e-7));
  CHECK(before_last_linear_of_classes(head.output, classes)->gradient.equal(fc->weight.index_select(0, classes)));
  CHECK_FALSE(fc->weight.grad().defined());

  const Tensor scaled = head.output * 2;  // not the layer's own output
  const Tensor twice = scaled.gather(1, classes.unsqueeze(1)).squeeze(1);
  CHECK_FALSE(before_last_linear_of_classes(scaled, classes).has_value());
  CHECK(torch::allclose(gradients_of(twice, scaled, {head.activations}, classes).front(), 2 * wanted, 1e-5, 1e-7));
}

TEST_CASE("a gradient of many classes goes the usual way") {
  check([](const Tensor& output) { return output.softmax(1).select(1, 7); }, false);
  check([](const Tensor& output) { return output.slice(1, 0, 5).sum(1); }, false);
}

TEST_CASE("a model that ends in something else goes the usual way") {
  const Tensor a = torch::randn({2, 3, 4}).requires_grad_();
  const Tensor output = a.mean(2).tanh();
  const Tensor wanted = torch::autograd::grad({output.select(1, 1).sum()}, {a}, {}, /*retain_graph=*/true).front();
  CHECK(torch::allclose(gradients_of(output.select(1, 1), output, {a}).front(), wanted));
}

TEST_CASE("a handle on which the score does not depend has no gradient") {
  torch::nn::Linear fc(6, 20);
  const Head head = run(fc, 2);
  const Tensor other = torch::randn({2}).requires_grad_();
  const auto found = gradients_of(head.output.select(1, 0), head.output, {other * 2, head.activations});
  CHECK_FALSE(found[0].defined());
  CHECK(found[1].defined());
}
