#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// LayerCAM: `map[n, s] = relu(sum_k relu(gradients[n, k, s]) * activations[n, k, s])`.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Made for shallow layers too, whose maps are fused
/// with `Fusion::tanh`. Jiang et al. 2021, "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization".
/// The peers agree.
inline at::Tensor layer_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  detail::check_pair(activations, gradients);
  return (gradients.relu() * activations).sum(1).relu_();
}

/// The same as a method for `explain`, at any layer.
struct LayerCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return layer_cam(cut.activations(), cut.gradients()); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return cut.gradients().relu() * cut.activations(); }
};

}  // namespace sightglass
