#include <sightglass/cam/methods/grad_cam_plus_plus.hpp>
#include <sightglass/cam/methods/smooth_grad.hpp>

#include <algorithm>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

namespace {

/// The gradient of class 1 at the input, by autograd alone.
at::Tensor input_gradient(support::SmallNet& net, const at::Tensor& x) {
  const at::Tensor leaf = x.detach().clone().requires_grad_();
  return torch::autograd::grad({net->forward(leaf).select(1, 1).sum()}, {leaf}).front();
}

/// One picture with noise of the documented deviation.
at::Tensor noisy(const at::Tensor& x, double noise, uint64_t seed) {
  const double range = (x.max() - x.min()).item<double>();
  return x + sg::detail::normal({2, 8, 6}, seed) * (noise * range);
}

}  // namespace

TEST_CASE("Saliency is the largest magnitude of the input's gradient over channels") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const auto explained = sg::explain(net, x, net->features, sg::Saliency{}, sg::Target(1));
  const at::Tensor g = input_gradient(net, x)[0];
  CHECK(support::near(explained.map(0), torch::maximum(g[0].abs(), g[1].abs())));
}

TEST_CASE("SmoothGrad is the gradient, averaged over noisy inputs") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  at::Tensor mean = torch::zeros({2, 8, 6});
  for (uint64_t i = 0; i < 5; ++i) mean += input_gradient(net, noisy(x, .2, 9 + i))[0] / 5;
  const auto explained = sg::explain(net, x, net->features, sg::SmoothGrad{5, .2, 9}, sg::Target(1));
  CHECK(support::near(explained.map(0), torch::maximum(mean[0].abs(), mean[1].abs())));
  CHECK(support::near(support::small_map(sg::SmoothGrad{3, 0.0}), support::small_map(sg::Saliency{})));
}

TEST_CASE("Smooth Grad-CAM++ takes the means of the gradient's powers over noisy inputs, in loops") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const at::Tensor a = net->features->forward(x).detach();
  std::vector<at::Tensor> gradients;
  for (uint64_t i = 0; i < 4; ++i) {
    gradients.push_back(support::gradient_at(net, net->features->forward(noisy(x, .1, i)), 1)[0].flatten(1));
  }
  at::Tensor wanted = torch::zeros({4, 3});
  for (int64_t k = 0; k < 5; ++k) {
    const double sum = a[0][k].sum().item<double>();
    double weight = 0;
    for (int64_t s = 0; s < 12; ++s) {
      double first = 0, second = 0, third = 0;
      for (const at::Tensor& one : gradients) {
        const double g = one[k][s].item<double>();
        first += g / 4;
        second += g * g / 4;
        third += g * g * g / 4;
      }
      const double denominator = 2 * second + sum * third;
      if (denominator != 0) weight += second / denominator * std::max(first, 0.0);
    }
    wanted += a[0][k] * weight;
  }
  const sg::SmoothGradCamPlusPlus method{4, .1};
  const auto map = sg::explain(net, x, net->features, method, sg::Target(1)).map(0);
  CHECK(torch::allclose(map, wanted.relu(), 1e-3, 1e-5));
  const sg::SmoothGradCamPlusPlus quiet{3, 0.0};
  CHECK(support::near(support::small_map(quiet), support::small_map(sg::GradCamPlusPlus{})));
}

TEST_CASE("SmoothGrad and Smooth Grad-CAM++: samples, a batch is its images, progress, seed") {
  CHECK_THROWS_WITH(support::small_map(sg::SmoothGrad{0}), ContainsSubstring("samples: got 0"));
  CHECK_THROWS_WITH(support::small_map(sg::SmoothGradCamPlusPlus{0}), ContainsSubstring("samples: got 0"));
  support::check_batch_is_its_images(sg::Saliency{});
  support::check_batch_is_its_images(sg::SmoothGrad{4});
  support::check_batch_is_its_images(sg::SmoothGradCamPlusPlus{});
  support::check_runs(sg::SmoothGrad{4});
  support::check_seed(sg::SmoothGrad{4});
  support::check_seed(sg::SmoothGradCamPlusPlus{});
  support::check_runs(sg::SmoothGradCamPlusPlus{});
}

TEST_CASE("gradients of noisy inputs keep to their precision, in inference mode too") {
  support::check_precision_and_modes(sg::Saliency{});
  support::check_precision_and_modes(sg::SmoothGrad{4});
  support::check_precision_and_modes(sg::SmoothGradCamPlusPlus{});
}
