#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

namespace detail {

/// `[N, C]`.
inline at::Tensor xgrad_cam_weights(const at::Tensor& activations, const at::Tensor& gradients) {
  check_pair(activations, gradients);
  const at::Tensor a = activations.flatten(2);
  const at::Tensor sums = a.sum(2);
  return (gradients.flatten(2) * a).sum(2).div_(sums).masked_fill_(sums.eq(0), 0);
}

}  // namespace detail

/// XGrad-CAM: `map[n, s] = relu(sum_k w[n, k] * activations[n, k, s])` with `w = sum_s(gradients * activations) /
/// sum_s(activations)`, 0 for a channel whose activations sum to 0.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Fu et al. 2020, "Axiom-based Grad-CAM: Towards
/// Accurate Visualization and Explanation of CNNs". The peers add an epsilon to the denominator.
inline at::Tensor xgrad_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  return detail::weigh(detail::xgrad_cam_weights(activations, gradients), activations).relu_();
}

/// The same as a method for `explain`, at any layer.
struct XGradCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return xgrad_cam(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    return detail::weighted(detail::xgrad_cam_weights(a, cut.gradients()), a);
  }
};

}  // namespace sightglass
