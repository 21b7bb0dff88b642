#pragma once

#include <ATen/ATen.h>

#include <cmath>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

namespace detail {

/// `[N, C]`.
inline at::Tensor grad_cam_plus_plus_weights(const at::Tensor& activations, const at::Tensor& gradients) {
  check_pair(activations, gradients);
  const at::Tensor sums = over_places(activations.flatten(2).sum(2), activations);
  // Divided by g^2: alpha = 1 / (2 + sum_s(A) g), and squares of small gradients do not vanish.
  const at::Tensor alpha =
      (sums * gradients).add_(2).reciprocal_().nan_to_num_(/*nan=*/NAN, /*posinf=*/0, /*neginf=*/0);
  return (alpha * gradients.relu()).flatten(2).sum(2);
}

}  // namespace detail

/// Grad-CAM++: `alpha = g^2 / (2 g^2 + sum_s(A) g^3)`, 0 where the denominator is 0; weights `sum_s alpha * relu(g)`;
/// `map = relu(sum_k weights * A)`.
///
/// `activations` A and `gradients` g of the score `[N, C, *S]`; returns `[N, *S]`. Chattopadhay et al. 2018,
/// "Grad-CAM++: Improved Visual Explanations for Deep Convolutional Networks"; their factor exp(score) is common to all
/// channels of an image and left out. pytorch-grad-cam adds 1e-6 to the denominator, which outweighs it where gradients
/// are small; torchcam loses the division.
inline at::Tensor grad_cam_plus_plus(const at::Tensor& activations, const at::Tensor& gradients) {
  return detail::weigh(detail::grad_cam_plus_plus_weights(activations, gradients), activations).relu_();
}

/// The same as a method for `explain`, at any layer.
struct GradCamPlusPlus {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return grad_cam_plus_plus(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    return detail::weighted(detail::grad_cam_plus_plus_weights(a, cut.gradients()), a);
  }
};

}  // namespace sightglass
