#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "sightglass/trace/scopes.hpp"

/// Sums over channels and over places, which most methods are made of.
namespace sightglass::detail {

/// Throws unless `activations` is `[N, C, *S]`, and `gradients` the same where it is given.
inline void check_activations(const at::Tensor& activations) {
  TORCH_CHECK(activations.dim() >= 3, "activations: got ", activations.sizes(), ", expected [N, C, *S]");
}
inline void check_pair(const at::Tensor& activations, const at::Tensor& gradients) {
  check_activations(activations);
  TORCH_CHECK(gradients.sizes() == activations.sizes(), "gradients: got ", gradients.sizes(),
              ", expected the activations' ", activations.sizes());
}

/// `[N, *S]` for activations `[N, C, *S]`.
inline std::vector<int64_t> map_shape(const at::Tensor& activations) {
  std::vector<int64_t> shape = activations.sizes().vec();
  shape.erase(shape.begin() + 1);
  return shape;
}

/// `[N, C]` as `[N, C, 1, ...]`, to be multiplied with `[N, C, *S]`.
inline at::Tensor over_places(const at::Tensor& per_channel, const at::Tensor& activations) {
  std::vector<int64_t> shape(static_cast<size_t>(activations.dim()), 1);
  shape[0] = per_channel.size(0);
  shape[1] = per_channel.size(1);
  return per_channel.reshape(shape);
}

/// `weights[n, k] * activations[n, k, s]`: `[N, C]` and `[N, C, *S]` give `[N, C, *S]`, what `weigh` sums.
inline at::Tensor weighted(const at::Tensor& weights, const at::Tensor& activations) {
  return over_places(weights, activations) * activations;
}

/// `[N]` as `[N, 1, ...]`, to be multiplied with what has `dims` dimensions.
inline at::Tensor over_each(const at::Tensor& per_image, int64_t dims) {
  std::vector<int64_t> shape(static_cast<size_t>(dims), 1);
  shape[0] = per_image.size(0);
  return per_image.reshape(shape);
}

/// `sum_k weights[n, k] * activations[n, k, s]`: `[N, C]` and `[N, C, *S]` give `[N, *S]`.
inline at::Tensor weigh(const at::Tensor& weights, const at::Tensor& activations) {
  const WithoutAutocast without_autocast;
  return at::bmm(weights.unsqueeze(1), activations.flatten(2)).view(map_shape(activations));
}

}  // namespace sightglass::detail
