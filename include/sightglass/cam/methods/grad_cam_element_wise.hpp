#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Grad-CAM element-wise: `map[n, s] = sum_k relu(gradients[n, k, s] * activations[n, k, s])`.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Pillai and Pirsiavash 2021, "Explainable Models with
/// Consistent Interpretations". pytorch-grad-cam agrees.
inline at::Tensor grad_cam_element_wise(const at::Tensor& activations, const at::Tensor& gradients) {
  detail::check_pair(activations, gradients);
  return (gradients * activations).relu_().sum(1);
}

/// The same as a method for `explain`, at any layer.
struct GradCamElementWise {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return grad_cam_element_wise(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return (cut.gradients() * cut.activations()).relu_(); }
};

}  // namespace sightglass
