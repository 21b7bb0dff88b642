#include <sightglass/cam/methods/integrated_gradients.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include <cmath>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

TEST_CASE("integrated gradients of a sum of squares are the squares") {
  // score = sum (x - 1)^2; from 0: x times the integral of 2 (t x - 1), x^2 - 2 x, exact with one point.
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return here->forward((x - 1).square()).flatten(1).sum(1, true); }
    sg::HookPoint here;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::tensor({3.f, -2.f, 1.f, /**/ 0.f, 1.f, 2.f});
  const at::Tensor wanted = torch::tensor({3.f, 7.f, -1.f});  // (3 8 -1) + (0 -1 0)
  for (const int64_t steps : {1, 4}) {
    const sg::IntegratedGradients method{steps};
    CHECK(support::near(sg::explain(net, x.view({1, 2, 3}), net->here, method).map(), wanted.view({1, 3})));
    CHECK(support::near(sg::explain(net, x.view({1, 2, 1, 3, 1}), net->here, method).map(), wanted.view({1, 1, 3, 1})));
  }
}

TEST_CASE("integrated gradients are complete: they sum to the difference of the scores") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(2);
  const at::Tensor wanted = (net->forward(x) - net->forward(torch::full_like(x, .3))).select(1, 1).detach();
  const sg::IntegratedGradients method{300, .3};
  const at::Tensor map = sg::explain(net, x, net->features, method, sg::Target(1)).map();
  CHECK(torch::allclose(map.flatten(1).sum(1), wanted, 1e-2, 1e-2));
}

TEST_CASE("the Gauss-Legendre rule of n points is exact for polynomials of degree 2 n - 1") {
  for (const int64_t count : {1, 2, 3, 5, 8}) {
    const auto rule = sg::detail::gauss_legendre(count);
    CHECK(static_cast<int64_t>(rule.size()) == count);
    for (int64_t degree = 0; degree < 2 * count; ++degree) {
      double sum = 0;
      for (const auto& [place, weight] : rule) sum += weight * std::pow(place, degree);
      CHECK(sum == Approx(1.0 / static_cast<double>(degree + 1)).epsilon(1e-12));
    }
  }
}

TEST_CASE("integrated gradients: steps, a batch is its images, progress") {
  CHECK_THROWS_WITH(support::small_map(sg::IntegratedGradients{0}), ContainsSubstring("steps: got 0"));
  support::check_batch_is_its_images(sg::IntegratedGradients{8});
  support::check_runs(sg::IntegratedGradients{8});
}

TEST_CASE("integrated gradients keep to their precision, in inference mode too") {
  support::check_precision_and_modes(sg::IntegratedGradients{8});
}
