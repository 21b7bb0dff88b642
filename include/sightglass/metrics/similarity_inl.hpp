#pragma once

#include "sightglass/metrics/similarity.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void check_same_maps(const at::Tensor& a, const at::Tensor& b) {
  TORCH_CHECK(a.dim() >= 2 && a.sizes() == b.sizes(), "maps: got ", a.sizes(), " and ", b.sizes(),
              "; expected two of one shape, [N, *S]");
}

SIGHTGLASS_INLINE at::Tensor ranks(const at::Tensor& values) {
  const at::Tensor given = values.contiguous();
  const at::Tensor sorted = std::get<0>(given.sort(1));
  const at::Tensor below = at::searchsorted(sorted, given, /*out_int32=*/false, /*right=*/false);
  const at::Tensor up_to = at::searchsorted(sorted, given, /*out_int32=*/false, /*right=*/true);
  return (below + up_to - 1).to(at::kDouble) / 2;
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor correlation(const at::Tensor& a, const at::Tensor& b) {
  detail::check_same_maps(a, b);
  const auto centred = [](const at::Tensor& map) {
    const at::Tensor flat = map.flatten(1).to(at::kDouble);
    return flat - flat.mean(1, /*keepdim=*/true);
  };
  const at::Tensor x = centred(a);
  const at::Tensor y = centred(b);
  const at::Tensor scale = (x.square().sum(1) * y.square().sum(1)).sqrt();
  return ((x * y).sum(1) / scale).masked_fill(scale.eq(0), 0);
}

SIGHTGLASS_INLINE at::Tensor rank_correlation(const at::Tensor& a, const at::Tensor& b) {
  detail::check_same_maps(a, b);
  return correlation(detail::ranks(a.flatten(1)), detail::ranks(b.flatten(1)));
}

SIGHTGLASS_INLINE at::Tensor structural_similarity(const at::Tensor& a, const at::Tensor& b) {
  detail::check_same_maps(a, b);
  TORCH_CHECK(a.dim() == 3 && a.size(1) >= 11 && a.size(2) >= 11, "maps: got ", a.sizes(),
              "; expected [N, h, w] of at least 11 x 11");
  const at::Tensor bell = at::arange(-5, 6, a.options().dtype(at::kDouble)).square().div(-2 * 1.5 * 1.5).exp();
  const at::Tensor window = (bell.unsqueeze(1) * bell / bell.sum().square()).view({1, 1, 11, 11});
  const auto mean = [&](const at::Tensor& map) { return at::conv2d(map, window); };
  const at::Tensor x = a.to(at::kDouble).unsqueeze(1);
  const at::Tensor y = b.to(at::kDouble).unsqueeze(1);
  const at::Tensor mx = mean(x);
  const at::Tensor my = mean(y);
  const at::Tensor variances = mean(x * x) - mx * mx + mean(y * y) - my * my;
  const at::Tensor covariance = mean(x * y) - mx * my;
  constexpr double c1 = 0.01 * 0.01;
  constexpr double c2 = 0.03 * 0.03;
  return ((2 * mx * my + c1) * (2 * covariance + c2) / ((mx * mx + my * my + c1) * (variances + c2)))
      .flatten(1)
      .mean(1);
}

}  // namespace sightglass
