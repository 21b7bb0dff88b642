#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/weigh.hpp"

namespace sightglass {

/// XGrad-CAM: `map[n, s] = relu(sum_k w[n, k] * activations[n, k, s])` with `w = sum_s(gradients * activations) /
/// sum_s(activations)`, 0 for a channel whose activations sum to 0.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Fu et al. 2020, "Axiom-based Grad-CAM: Towards
/// Accurate Visualization and Explanation of CNNs". The peers add an epsilon to the denominator.
inline at::Tensor xgrad_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  detail::check_pair(activations, gradients);
  const at::Tensor a = activations.flatten(2);
  const at::Tensor sums = a.sum(2);
  const at::Tensor weights = (gradients.flatten(2) * a).sum(2).div_(sums).masked_fill_(sums.eq(0), 0);
  return detail::weigh(weights, activations).relu_();
}

/// The same as a method for `explain`, at any layer.
struct XGradCam {
  at::Tensor operator()(const Cut& cut) const { return xgrad_cam(cut.activations(), cut.gradients()); }
};

}  // namespace sightglass
