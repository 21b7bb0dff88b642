#pragma once

#include "sightglass/cam/detail/weigh.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::ScalarType map_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

SIGHTGLASS_INLINE void check_activations(const at::Tensor& activations) {
  TORCH_CHECK(activations.dim() >= 3, "activations: got ", activations.sizes(), ", expected [N, C, *S]");
}

SIGHTGLASS_INLINE void check_pair(const at::Tensor& activations, const at::Tensor& gradients) {
  check_activations(activations);
  TORCH_CHECK(gradients.sizes() == activations.sizes(), "gradients: got ", gradients.sizes(),
              ", expected the activations' ", activations.sizes());
}

SIGHTGLASS_INLINE std::vector<int64_t> map_shape(const at::Tensor& activations) {
  std::vector<int64_t> shape = activations.sizes().vec();
  shape.erase(shape.begin() + 1);
  return shape;
}

SIGHTGLASS_INLINE at::Tensor over_places(const at::Tensor& per_channel, const at::Tensor& activations) {
  std::vector<int64_t> shape(static_cast<size_t>(activations.dim()), 1);
  shape[0] = per_channel.size(0);
  shape[1] = per_channel.size(1);
  return per_channel.reshape(shape);
}

SIGHTGLASS_INLINE at::Tensor weighted(const at::Tensor& weights, const at::Tensor& activations) {
  return over_places(weights, activations) * activations;
}

SIGHTGLASS_INLINE at::Tensor over_each(const at::Tensor& per_image, int64_t dims) {
  std::vector<int64_t> shape(static_cast<size_t>(dims), 1);
  shape[0] = per_image.size(0);
  return per_image.reshape(shape);
}

SIGHTGLASS_INLINE at::Tensor weigh(const at::Tensor& weights, const at::Tensor& activations) {
  const WithoutAutocast without_autocast;
  return at::bmm(weights.unsqueeze(1), activations.flatten(2)).view(map_shape(activations));
}

}  // namespace sightglass::detail
