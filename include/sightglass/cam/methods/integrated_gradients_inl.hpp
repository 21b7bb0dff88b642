#pragma once

#include "sightglass/cam/methods/integrated_gradients.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::vector<std::pair<double, double>> gauss_legendre(int64_t count) {
  std::vector<std::pair<double, double>> rule;
  const auto n = static_cast<double>(count);
  for (int64_t i = 0; i < count; ++i) {
    double x = std::cos(M_PI * (static_cast<double>(i) + .75) / (n + .5));
    double slope = 0;
    for (int round = 0; round < 100; ++round) {
      double before = 1, value = x;
      for (int64_t k = 2; k <= count; ++k) {
        const auto order = static_cast<double>(k);
        before = std::exchange(value, ((2 * order - 1) * x * value - (order - 1) * before) / order);
      }
      slope = n * (x * value - before) / (x * x - 1);
      const double step = value / slope;
      x -= step;
      if (std::abs(step) < 1e-15) break;
    }
    rule.emplace_back((x + 1) / 2, 1 / ((1 - x * x) * slope * slope));
  }
  return rule;
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor IntegratedGradients::operator()(const Cut& cut) const { return attributions(cut).sum(1); }

SIGHTGLASS_INLINE at::Tensor IntegratedGradients::attributions(const Cut& cut) const {
  TORCH_CHECK(steps > 0, "steps: got ", steps, ", expected at least 1");
  const at::Tensor given = cut.input();
  const at::Tensor x = given.to(detail::map_dtype(given));
  const at::Tensor from = at::full_like(x, baseline);
  const at::Tensor images = at::arange(x.size(0), at::kLong);
  at::Tensor sum = at::zeros_like(x);
  int64_t done = 0;
  for (const auto& [place, weight] : detail::gauss_legendre(steps)) {
    sum += cut.input_gradients(from + (x - from) * place, images) * weight;
    if (!detail::goes_on(runs, ++done, steps)) break;
  }
  return (x - from) * sum;
}

}  // namespace sightglass
