#include "sightglass/trace/gradient.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

TEST_CASE("a graph made to begin at a tensor gives the gradient there, although it is written in place afterwards",
          "[gradient]") {
  torch::manual_seed(1);
  const Tensor weight = torch::randn({3, 4});
  const Tensor identity = torch::randn({2, 4});
  const Tensor before = torch::randn({2, 4});
  Tensor y = before.clone();
  const Tensor handle = sgd::begin_graph(y);
  CHECK(y.requires_grad());
  CHECK_FALSE(y.is_leaf());
  CHECK(handle.data_ptr() == y.data_ptr());
  y += identity;
  y.relu_();
  const Tensor score = torch::linear(y, weight).select(1, 1).sum();
  const Tensor got = torch::autograd::grad({score}, {handle})[0];
  // d/dy sum_n relu(y + i)_n . w_1 = w_1 where y + i > 0
  const Tensor expected = weight[1].expand({2, 4}) * (before + identity > 0);
  CHECK(torch::allclose(got, expected));
}

TEST_CASE("where a graph exists the handle is a point of it, and gradients go on before it", "[gradient]") {
  torch::manual_seed(2);
  const Tensor x = torch::randn({3}).requires_grad_();
  Tensor y = x * 2;
  const Tensor handle = sgd::begin_graph(y);
  y.mul_(3);
  const auto gradients = torch::autograd::grad({y.sum()}, {handle, x});
  CHECK(torch::equal(gradients[0], torch::full({3}, 3.)));
  CHECK(torch::equal(gradients[1], torch::full({3}, 6.)));
}

TEST_CASE("several graphs begun in one pass give their gradients together", "[gradient]") {
  Tensor a = torch::full({2}, 2.);
  const Tensor at_a = sgd::begin_graph(a);
  Tensor b = a * a;
  const Tensor at_b = sgd::begin_graph(b);
  b.add_(1);
  const auto gradients = torch::autograd::grad({b.pow(2).sum()}, {at_a, at_b});
  CHECK(torch::equal(gradients[1], torch::full({2}, 10.)));  // 2 (a^2 + 1)
  CHECK(torch::equal(gradients[0], torch::full({2}, 40.)));  // times 2 a
}

TEST_CASE("nothing before the graph's start gets a gradient", "[gradient]") {
  const Tensor parameter = torch::ones({2}).requires_grad_();
  Tensor y;
  {
    const torch::NoGradGuard no_gradients;
    y = parameter * 2;
  }
  const Tensor handle = sgd::begin_graph(y);
  torch::autograd::grad({(y * y).sum()}, {handle});
  CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("a gradient is told in each backward pass, as it is at the moment of asking", "[gradient]") {
  const Tensor x = torch::ones({3}).requires_grad_();
  Tensor y = x * 2;
  std::vector<Tensor> told;
  sgd::on_gradient(y, [&](const Tensor& gradient) { told.push_back(gradient); });
  y.mul_(5);
  const Tensor score = y.sum();
  score.backward({}, true);
  score.backward();
  REQUIRE(told.size() == 2);
  CHECK(torch::equal(told[0], torch::full({3}, 5.)));
  CHECK(torch::equal(told[1], told[0]));
  CHECK(torch::equal(x.grad(), torch::full({3}, 20.)));
}

TEST_CASE("the gradient of the right output of several is told", "[gradient]") {
  const Tensor x = torch::ones({4}).requires_grad_();
  const auto parts = x.mul(1).chunk(2);
  Tensor told;
  sgd::on_gradient(parts[1], [&](const Tensor& gradient) { told = gradient; });
  (parts[0].sum() * 2 + parts[1].sum() * 7).backward();
  REQUIRE(told.defined());
  CHECK(torch::equal(told, torch::full({2}, 7.)));
}

TEST_CASE("a tensor that became another has its values and its history", "[gradient]") {
  const Tensor x = torch::ones({2}).requires_grad_();
  const Tensor held = x * 2;
  const Tensor same = held;  // the model's
  sgd::become(held, x * 5);
  CHECK(torch::equal(same, torch::full({2}, 5.f)));
  CHECK(torch::equal(torch::autograd::grad({same.sum()}, {x})[0], torch::full({2}, 5.f)));
  sgd::become(held, torch::zeros({2}));  // no history
  CHECK(torch::equal(same, torch::zeros({2})));
  CHECK_FALSE(same.requires_grad());
}
