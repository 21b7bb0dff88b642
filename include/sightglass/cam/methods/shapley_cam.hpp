#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// ShapleyCAM: Grad-CAM with weights `mean_s(g - H A / 2)`, the Shapley values of a second-order expansion of the
/// score: `map = relu(sum_k weights * A)`.
///
/// g and H: gradient and Hessian of the score with respect to the activations A `[N, C, *S]`; the map is `[N, *S]`.
/// Where the rest of the network is piecewise linear (ReLU, pooling) H is 0, and the map is Grad-CAM's. Cai 2025,
/// "CAMs as Shapley Value-based Explainers". pytorch-grad-cam agrees on convolutional networks and throws on tokens.
struct ShapleyCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return detail::weigh(weights(cut), cut.activations()).relu_(); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return detail::weighted(weights(cut), cut.activations()); }

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const {
    return (cut.gradients() - cut.hessian_times(cut.activations()) / 2).flatten(2).mean(2);
  }
};

}  // namespace sightglass
