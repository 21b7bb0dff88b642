#pragma once

#include "sightglass/cam/methods/eigen_cam.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor with_positive_peak(const at::Tensor& flat) {
  const at::Tensor peak = flat.gather(1, flat.abs().argmax(1, /*keepdim=*/true));
  return flat * at::where(peak.lt(0), -at::ones_like(peak), at::ones_like(peak));
}

SIGHTGLASS_INLINE at::Tensor first_eigenvector_by_squaring(const at::Tensor& matrix) {
  constexpr int rounds = 6, squarings = 4;  // numbers stay far below float64's largest between two scalings
  const auto scaled = [](const at::Tensor& one) { return one / one.abs().amax({1, 2}, true).clamp_min(1e-300); };
  at::Tensor power = scaled(matrix);
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < squarings; ++i) power = at::bmm(power, power);
    power = scaled(power);
  }
  const at::Tensor longest = power.diagonal(0, 1, 2).argmax(1).view({-1, 1, 1}).expand({-1, power.size(1), 1});
  const at::Tensor column = power.gather(2, longest).squeeze(2);
  return column / column.norm(2, {1}, true).clamp_min(1e-300);
}

SIGHTGLASS_INLINE at::Tensor first_eigenvector(const at::Tensor& matrix) {
  if (!matrix.is_cpu()) return first_eigenvector_by_squaring(matrix);
  return std::get<1>(at::linalg_eigh(matrix)).select(2, matrix.size(2) - 1);  // eigenvalues ascend
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor eigen_cam(const at::Tensor& activations, Centring centring) {
  detail::check_activations(activations);
  const detail::WithoutAutocast without_autocast;
  at::Tensor a = activations.flatten(2);  // [N, C, P]
  if (centring == Centring::channel_means) a = a - a.mean(2, true);
  const bool by_places = a.size(2) <= a.size(1);
  const at::Tensor one = (by_places ? a : a.transpose(1, 2)).to(at::kDouble);
  const at::Tensor gram = at::bmm(one.transpose(1, 2), one);
  // NaN would make LAPACK throw; its map shall be NaN.
  const at::Tensor finite = gram.isfinite().flatten(1).all(1).view({-1, 1, 1});
  const at::Tensor first = detail::first_eigenvector(at::where(finite, gram, at::zeros_like(gram))).to(a.dtype());
  // The eigenvector over channels is the singular vector v: project. Over places it is u: A v = A A^T u / |A^T u|.
  at::Tensor projected;
  if (by_places) {
    const at::Tensor v = at::bmm(a, first.unsqueeze(2));  // [N, C, 1]
    const at::Tensor length = v.norm(2, {1}, true).clamp_min(1e-30);
    projected = at::bmm(a.transpose(1, 2), v / length).squeeze(2);
  } else {
    projected = at::bmm(first.unsqueeze(1), a).squeeze(1);
  }
  return detail::with_positive_peak(projected).view(detail::map_shape(activations));
}

SIGHTGLASS_INLINE at::Tensor eigen_grad_cam(const at::Tensor& activations, const at::Tensor& gradients,
                                            /// Whether each channel's mean is taken off first.
                                            Centring centring) {
  detail::check_pair(activations, gradients);
  return eigen_cam(gradients * activations, centring);
}

SIGHTGLASS_INLINE at::Tensor EigenCam::operator()(const Cut& cut) const {
  return eigen_cam(cut.activations(), centring);
}

SIGHTGLASS_INLINE at::Tensor EigenGradCam::operator()(const Cut& cut) const {
  return eigen_grad_cam(cut.activations(), cut.gradients(), centring);
}

}  // namespace sightglass
