#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"

namespace sightglass {

/// Grad-CAM: `map[n, s] = relu(sum_k mean_s(gradients[n, k]) * activations[n, k, s])`.
///
/// `activations` and `gradients` `[N, C, *S]`; returns `[N, *S]`. Selvaraju et al. 2017, "Grad-CAM: Visual Explanations
/// from Deep Networks via Gradient-based Localization". The peers agree.
inline at::Tensor grad_cam(const at::Tensor& activations, const at::Tensor& gradients) {
  TORCH_CHECK(activations.dim() >= 3, "activations: came ", activations.sizes(), ", expected [N, C, *S]");
  TORCH_CHECK(gradients.sizes() == activations.sizes(), "gradients: came ", gradients.sizes(),
              ", expected the activations' ", activations.sizes());
  const at::Tensor weights = gradients.flatten(2).mean(2, true).transpose(1, 2);  // [N, 1, C]
  std::vector<int64_t> shape = activations.sizes().vec();
  shape.erase(shape.begin() + 1);
  return at::bmm(weights, activations.flatten(2)).relu_().view(shape);
}

/// Grad-CAM as a method for `explain`, at any layer.
struct GradCam {
  at::Tensor operator()(const Cut& cut) const { return grad_cam(cut.activations(), cut.gradients()); }
};

}  // namespace sightglass
