#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Grad-CAM: `map[n, s] = relu(sum_k mean_s(gradients[n, k]) * activations[n, k, s])`.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Selvaraju et al. 2017, "Grad-CAM: Visual Explanations
/// from Deep Networks via Gradient-based Localization". The peers agree.
inline at::Tensor grad_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  detail::check_pair(activations, gradients);
  return detail::weigh(gradients.flatten(2).mean(2), activations).relu_();
}

/// The same as a method for `explain`, at any layer.
struct GradCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return grad_cam(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const {
    return detail::weighted(cut.gradients().flatten(2).mean(2), cut.activations());
  }
};

}  // namespace sightglass
