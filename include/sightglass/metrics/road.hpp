#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/metrics/detail/check.hpp"
#include "sightglass/metrics/linear_imputation.hpp"
#include "sightglass/metrics/order.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// The target's scores after pixels were removed, `[N, percentiles]` each.
struct Road {
  at::Tensor most_relevant_first;   ///< MoRF; lower is better
  at::Tensor least_relevant_first;  ///< LeRF; higher is better
  /// The same for pixels in random order: what the first should lie below and the second above.
  at::Tensor reference;

  /// `[N]`: `(LeRF - MoRF) / 2`, its mean over the percentiles; 0 for random order.
  at::Tensor combined() const;
};

/// Options of `road`.
struct RoadOptions {
  std::vector<double> percentiles = {20, 40, 60, 80};  ///< of pixels removed; at least one must be left
  double noise = 0.01;  ///< deviation of what is added to filled pixels, in units of the input
  uint64_t seed = 0;    ///< of the noise and of the random order
  LinearImputationOptions imputation = {};
  Runs runs = {};
};

namespace detail {

/// `[P]` bool masks `[1, H, W]` of one image: the first `percentiles` of `order` `[places]`.
at::Tensor first_of_order(const at::Tensor& order, const std::vector<double>& percentiles, at::IntArrayRef size);

void check_road(const at::Tensor& input, const RoadOptions& options);

}  // namespace detail

/// ROAD, remove and debias: the target's scores when a share of the most (MoRF), or of the least (LeRF) relevant pixels
/// is removed: filled by `linear_imputation` with a little noise, which tells the model less about the mask's shape
/// than a constant colour does.
///
/// Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods", who count right
/// predictions: for scores between 0 and 1 take `Target::softmax`; the mean over images is the figure. The combination
/// is pytorch-grad-cam's. The same noise for all images. Runs the model `3 * percentiles + 1` times an image.
Road road(const Model& model, const at::Tensor& input, const Explanation& explanation, const Target& target = {},
          const RoadOptions& options = {});

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/road_inl.hpp"
#endif
