#include "sightglass/train/detail/weight_update.hpp"

#include "support/harness/catch.hpp"

using sightglass::detail::squares_of_change;
using sightglass::detail::WeightCopies;
using torch::Tensor;

TEST_CASE("the ratio is the norm of the change by the norm of what was, over all parameters", "[weight_update]") {
  const Tensor a = torch::tensor({3.F, 4.F}).requires_grad_();
  const Tensor b = torch::tensor({12.F}).requires_grad_();
  WeightCopies copies({a, b});
  for (int step = 0; step < 2; ++step) {  // the second time into the same memory
    {
      const torch::NoGradGuard no_gradients;
      a.copy_(torch::tensor({3.F, 4.F}));
      b.fill_(12);
      copies.take();
      a.add_(torch::tensor({1.F, 2.F}));
      b.sub_(2);
    }
    CHECK(copies.ratio().item<float>() == Approx(3.0 / 13));
  }
}

TEST_CASE("parameters that are frozen are left out, until they are not", "[weight_update]") {
  const Tensor a = torch::ones({2});
  const Tensor b = torch::ones({2}).requires_grad_();
  WeightCopies both({a, b});
  WeightCopies frozen({a});
  both.take();
  frozen.take();
  b.data().mul_(1.5);
  CHECK(both.ratio().item<float>() == Approx(0.5));
  CHECK_FALSE(frozen.ratio().defined());
  a.requires_grad_();
  frozen.take();
  CHECK(frozen.ratio().item<float>() == 0);
}

TEST_CASE("the sums of squares agree with plain tensor code, whatever type and layout", "[weight_update]") {
  torch::manual_seed(1);
  const Tensor before = torch::randn({70, 1000});
  const Tensor now = before + 0.01 * torch::randn({70, 1000});
  const Tensor wide = before.to(torch::kDouble);
  const Tensor expected = torch::stack({(now.to(torch::kDouble) - wide).square().sum(), wide.square().sum()});
  CHECK(torch::allclose(squares_of_change(now, before), expected, 1e-5));
  CHECK(torch::allclose(squares_of_change(now.t(), before.t()), expected, 1e-5));
  CHECK(torch::allclose(squares_of_change(now.to(torch::kDouble), wide), expected, 1e-5));
}
