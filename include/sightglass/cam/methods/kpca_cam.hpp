#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/eigen_cam.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// KPCA-CAM: kernel principal components in place of Eigen-CAM's linear ones: the projection of the places on the first
/// component of the centred kernel matrix `K[p, q] = tanh(dot(B_p, B_q) / C + 1)`, B the activations less each
/// channel's mean. It looks at no class.
///
/// `activations` `[N, C, *S]`; returns `[N, *S]`, signed such that the element of largest magnitude is positive. Costs
/// a matrix of places by places: meant for deep layers. Karmani et al. 2024, "KPCA-CAM: Visual Explainability of Deep
/// Computer Vision Models using Kernel PCA"; kernel and centring are those of their code, pytorch-grad-cam's.
inline at::Tensor kpca_cam(const at::Tensor& activations) {
  detail::check_activations(activations);
  at::Tensor a = activations.flatten(2).to(at::kDouble);  // [N, C, P]
  a = a - a.mean(2, true);
  at::Tensor kernel = (at::bmm(a.transpose(1, 2), a) / static_cast<double>(a.size(1)) + 1).tanh_();
  kernel = kernel - kernel.mean(1, true) - kernel.mean(2, true) + kernel.mean(at::IntArrayRef{1, 2}, true);
  const at::Tensor finite = kernel.isfinite().flatten(1).all(1).view({-1, 1, 1});
  const auto [values, vectors] = at::linalg_eigh(at::where(finite, kernel, at::zeros_like(kernel)));
  const int64_t last = values.size(1) - 1;  // eigenvalues ascend
  const at::Tensor projected = vectors.select(2, last) * values.select(1, last).clamp_min(0).sqrt().unsqueeze(1);
  const at::Tensor map = at::where(finite.squeeze(2), projected, at::full_like(projected, NAN));
  return detail::with_positive_peak(map).to(activations.dtype()).view(detail::map_shape(activations));
}

/// The same as a method for `explain`.
struct KpcaCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return kpca_cam(cut.activations()); }
};

}  // namespace sightglass
