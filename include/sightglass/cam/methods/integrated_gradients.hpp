#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"

namespace sightglass {

namespace detail {

/// Places in (0, 1) and weights of the Gauss-Legendre rule with `count` points, by Newton's method on the polynomial.
std::vector<std::pair<double, double>> gauss_legendre(int64_t count);

}  // namespace detail

/// Integrated gradients: `(x - x0) * integral of the gradient along the straight line from the baseline x0 to x`,
/// summed over the input's channels. Looks at input and output only; the layer does not matter.
///
/// The map is `[N, *S]`, the input's size, signed; its sum is the difference of the scores of x and x0 (completeness).
/// The integral is Gauss-Legendre's, as captum's. Sundararajan et al. 2017, "Axiomatic Attribution for Deep Networks".
struct IntegratedGradients {
  /// Points of the integral, a backward pass each.
  int64_t steps = 50;
  /// The value of x0 everywhere, in the input's units.
  double baseline = 0;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

  /// The same for each input channel: `[N, C, *S]`.
  at::Tensor attributions(const Cut& cut) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/integrated_gradients_inl.hpp"
#endif
