#pragma once

#include "sightglass/metrics/linear_imputation.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor with_neighbours(const at::Tensor& planes, int64_t dim) {
  const int64_t pairs = planes.size(dim) - 1;
  at::Tensor sum = planes * 2;
  sum.narrow(dim, 1, pairs).add_(planes.narrow(dim, 0, pairs));
  sum.narrow(dim, 0, pairs).add_(planes.narrow(dim, 1, pairs));
  return sum;
}

SIGHTGLASS_INLINE at::Tensor neighbour_sum(const at::Tensor& planes) {
  return (with_neighbours(with_neighbours(planes, 2), 3) - 4 * planes) / 12;
}

SIGHTGLASS_INLINE at::Tensor plane_dot(const at::Tensor& a, const at::Tensor& b) {
  return (a * b).sum({2, 3}, /*keepdim=*/true);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor linear_imputation(const at::Tensor& images, const at::Tensor& removed,
                                               const LinearImputationOptions& options) {
  TORCH_CHECK(images.dim() == 4 && removed.dim() == 4 && removed.scalar_type() == at::kBool, "images: got ",
              images.sizes(), " and removed ", removed.sizes(), "; expected [M, C, H, W] and bool [M, 1, H, W]");
  const at::Tensor kept = removed.logical_not();
  TORCH_CHECK(kept.flatten(1).any(1).all().item<bool>(), "removed: an image has no pixel left to fill others from");
  const at::Tensor unknown = removed.to(images.dtype());
  const at::Tensor known = images * kept;
  const at::Tensor weights = detail::neighbour_sum(at::ones_like(images.slice(0, 0, 1).slice(1, 0, 1)));
  const auto system = [&](const at::Tensor& x) { return (weights * x - detail::neighbour_sum(x)) * unknown; };

  const at::Tensor mean = known.sum({2, 3}, true) / kept.to(images.dtype()).sum({2, 3}, true);
  at::Tensor x = mean * unknown;
  const at::Tensor right = detail::neighbour_sum(known) * unknown;
  const at::Tensor enough = detail::plane_dot(right, right) * (options.tolerance * options.tolerance);
  at::Tensor residual = right - system(x);
  at::Tensor direction = residual;
  at::Tensor size = detail::plane_dot(residual, residual);
  constexpr int64_t between_looks = 10;  // looking waits for the device
  for (int64_t i = 0; i < options.max_iterations; ++i) {
    if (i % between_looks == 0 && size.le(enough).all().item<bool>()) break;
    const at::Tensor solved = size.le(enough);  // such planes stay: their numbers would become too small for float32
    const at::Tensor image = system(direction);
    const at::Tensor step = (size / detail::plane_dot(direction, image)).masked_fill(solved, 0);
    x = x + step * direction;
    residual = residual - step * image;
    const at::Tensor next = detail::plane_dot(residual, residual);
    direction = residual + (next / size).masked_fill(solved, 0) * direction;
    size = next;
  }
  TORCH_CHECK(size.le(enough).all().item<bool>(), "max_iterations: ", options.max_iterations,
              " do not reach the tolerance ", options.tolerance, "; raise one of them");
  return known + x;
}

}  // namespace sightglass
