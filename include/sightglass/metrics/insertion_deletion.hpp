#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/metrics/detail/check.hpp"
#include "sightglass/metrics/order.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// Areas under the score's curve while an input is built up, or taken away, in the order of its map; all `[N]`.
struct InsertionDeletion {
  at::Tensor insertion;  ///< higher is better
  at::Tensor deletion;   ///< lower is better
  /// The same for pixels in random order; undefined where they are left out.
  at::Tensor reference_insertion;
  at::Tensor reference_deletion;
};

/// Options of `insertion_deletion`.
struct InsertionDeletionOptions {
  int64_t steps = 28;   ///< parts into which the pixels are divided
  double baseline = 0;  ///< what pixels are before they are put in and after they are taken away
  uint64_t seed = 0;    ///< of the random order
  Reference reference = Reference::computed;
  Runs runs = {};
};

namespace detail {

/// `[N]`: the area under the target's scores when of each image `x[i]` ever more of the places `order[i]` (`[P]`) are
/// taken from `to[i]`.
at::Tensor area_under_change(const Runner& runner, const Target& target, const at::Tensor& output, const at::Tensor& x,
                             const at::Tensor& to, const at::Tensor& order, const InsertionDeletionOptions& options,
                             int64_t& done, int64_t all);

}  // namespace detail

/// Insertion and deletion: the pixels of the input, all channels, are put into a baseline, or replaced by it, from the
/// map's highest to its lowest; the target's score is followed, and the area under it (over the share of pixels) told.
///
/// Petsiuk et al. 2018, "RISE"; their scores are probabilities, as `Target::softmax` gives them, and their insertion
/// begins with a blurred image: here both have the same baseline. Runs the model `4 (steps + 1)` times an image, half
/// of it for the reference.
InsertionDeletion insertion_deletion(const Model& model, const at::Tensor& input, const Explanation& explanation,
                                     const Target& target = {}, const InsertionDeletionOptions& options = {});

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/insertion_deletion_inl.hpp"
#endif
