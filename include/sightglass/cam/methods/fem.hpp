#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Feature explanation method: each channel is binarised, `b = A > mean + k sigma`, and weighted by its mean:
/// `map = sum_k mean_s(A_k) b_k`. It looks at no class.
///
/// `activations` `[N, C, *S]`; mean and (population) standard deviation are of a channel's places; returns `[N, *S]`.
/// Fuad et al. 2020, "Features Understanding in 3D CNNs for Actions Recognition in Video". pytorch-grad-cam weighs the
/// activations themselves by the share of places that are left.
inline at::Tensor fem(const at::Tensor& activations, double k = 2.0) {
  detail::check_activations(activations);
  const at::Tensor a = activations.flatten(2);
  const at::Tensor means = a.mean(2, true);
  const at::Tensor left = a.gt(means + a.std(2, /*unbiased=*/false, /*keepdim=*/true) * k).to(a.dtype());
  return detail::weigh(means.squeeze(2), left.view_as(activations));
}

/// The same as a method for `explain`.
struct Fem {
  double k = 2.0;  ///< standard deviations above the mean
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return fem(cut.activations(), k); }
};

}  // namespace sightglass
