#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// HiResCAM: `map[n, s] = relu(sum_k gradients[n, k, s] * activations[n, k, s])`.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Draelos and Carin 2020, "Use HiResCAM instead of
/// Grad-CAM for faithful explanations of convolutional neural networks". pytorch-grad-cam agrees.
inline at::Tensor hires_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  detail::check_pair(activations, gradients);
  return (gradients * activations).sum(1).relu_();
}

/// The same as a method for `explain`, at any layer.
struct HiResCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return hires_cam(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return cut.gradients() * cut.activations(); }
};

}  // namespace sightglass
