#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "sightglass/cam/explanation.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/metrics/detail/check.hpp"
#include "sightglass/trace/tensors.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// What is left of the target's scores when an input is masked by its map; all `[N]`.
struct DropIncrease {
  at::Tensor drop;      ///< `max(0, y - y') / y`, 0 where y is not above 0; lower is better
  at::Tensor increase;  ///< 1 where `y' > y`, else 0; higher is better
  /// The same for the map's values at places drawn at random: what a map of this much mass is worth by itself.
  at::Tensor reference_drop;
  at::Tensor reference_increase;
};

namespace detail {

/// The input times its maps `[N, *S]`, in [0, 1], enlarged to its size; the same mask for all channels.
at::Tensor masked_by(const at::Tensor& map, const at::Tensor& input);

/// The values of each map `[N, *S]` at places drawn at random, the same for all images.
at::Tensor shuffled(const at::Tensor& map, uint64_t seed);

/// `max(0, y - y') / y`, 0 where y is not above 0.
at::Tensor drop_of(const at::Tensor& y, const at::Tensor& masked);

}  // namespace detail

/// Average drop and increase in confidence: the score y' of the input times its map, normalised to [0, 1] and enlarged,
/// against the score y of the input itself; means over images are the figures of the paper.
///
/// Chattopadhay et al. 2018, "Grad-CAM++", whose scores are probabilities: take `Target::softmax` or
/// `Target([](const Tensor& y) {...})`. Two runs of the model beside the plain one. `seed`: of the reference's places.
DropIncrease drop_increase(const Model& model, const at::Tensor& input, const Explanation& explanation,
                           const Target& target = {}, uint64_t seed = 0);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/drop_increase_inl.hpp"
#endif
