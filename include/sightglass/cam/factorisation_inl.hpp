#pragma once

#include "sightglass/cam/factorisation.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Factors first_factors(const at::Tensor& matrix, int64_t count) {
  const auto [u, values, v] = at::linalg_svd(matrix, /*full_matrices=*/false);
  std::vector<at::Tensor> left, right;
  for (int64_t k = 0; k < count; ++k) {
    const at::Tensor column = u.select(1, k), row = v.select(0, k);
    const at::Tensor positive = column.relu().norm() * row.relu().norm();
    const at::Tensor negative = (-column).relu().norm() * (-row).relu().norm();
    const at::Tensor sign = at::where(positive.ge(negative), at::ones_like(positive), -at::ones_like(positive));
    const at::Tensor one = (sign * column).relu(), other = (sign * row).relu();
    const at::Tensor size = (values[k] * at::maximum(positive, negative)).sqrt();
    left.push_back(one / one.norm().clamp_min(1e-30) * size);
    right.push_back(other / other.norm().clamp_min(1e-30) * size);
  }
  const at::Tensor mean = matrix.mean();
  const auto filled = [&](const at::Tensor& factor) { return at::where(factor.eq(0), mean, factor); };
  return {filled(at::stack(left, 1)), filled(at::stack(right))};
}

SIGHTGLASS_INLINE Factors factorise(const at::Tensor& matrix, int64_t count, int64_t rounds) {
  constexpr double tiny = 1e-12;
  auto [left, right] = first_factors(matrix, count);
  for (int64_t round = 0; round < rounds; ++round) {
    const at::Tensor columns = left.t();
    right = right * columns.mm(matrix) / (columns.mm(left).mm(right) + tiny);
    const at::Tensor rows = right.t();
    left = left * matrix.mm(rows) / (left.mm(right.mm(rows)) + tiny);
  }
  return {left, right};
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE Concepts factorise(const at::Tensor& activations, int64_t count, int64_t rounds) {
  detail::check_activations(activations);
  const at::Tensor rectified = activations.to(at::kDouble).relu();
  const at::Tensor matrix = rectified.movedim(1, -1).reshape({-1, activations.size(1)});
  TORCH_CHECK(count > 0 && count <= std::min(matrix.size(0), matrix.size(1)), "count: got ", count,
              " concepts, expected 1 to ", std::min(matrix.size(0), matrix.size(1)), " for activations ",
              activations.sizes());
  TORCH_CHECK(rounds >= 0, "rounds: got ", rounds, ", expected none or more");
  TORCH_CHECK(matrix.isfinite().all().item<bool>(), "activations: hold NaN or infinity");
  const auto [left, right] = detail::factorise(matrix, count, rounds);
  const at::Tensor order = (left.norm(2, 0) * right.norm(2, 1)).argsort(0, /*descending=*/true);
  const at::Tensor strongest = left.amax(0).clamp_min(1e-30);
  std::vector<int64_t> shape = detail::map_shape(activations);
  shape.push_back(count);
  const double size = matrix.norm().item<double>();
  Concepts concepts;
  concepts.maps = (left / strongest).index_select(1, order).view(shape).movedim(-1, 1).contiguous();
  concepts.maps = concepts.maps.to(activations.dtype());
  concepts.vectors = (right * strongest.unsqueeze(1)).index_select(0, order).to(activations.dtype());
  concepts.relative_error = size > 0 ? (matrix - left.mm(right)).norm().item<double>() / size : 0;
  return concepts;
}

SIGHTGLASS_INLINE at::Tensor outputs_of_concepts(const Cut& cut, const at::Tensor& vectors) {
  const at::Tensor a = cut.activations();
  TORCH_CHECK(vectors.dim() == 2 && vectors.size(1) == a.size(1), "vectors: got ", vectors.sizes(), ", expected [K, ",
              a.size(1), "] for activations ", a.sizes());
  std::vector<int64_t> shape = a.sizes().vec();
  shape[0] = vectors.size(0);
  const at::Tensor everywhere = detail::over_places(vectors, a).expand(shape).contiguous();
  return cut.output_with(everywhere, at::zeros({vectors.size(0)}, at::kLong));
}

}  // namespace sightglass
