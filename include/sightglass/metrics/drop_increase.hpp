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
inline at::Tensor masked_by(const at::Tensor& map, const at::Tensor& input) {
  return input * resize_map(map, input.sizes().slice(2)).unsqueeze(1).to(input.options());
}

/// The values of each map `[N, *S]` at places drawn at random, the same for all images.
inline at::Tensor shuffled(const at::Tensor& map, uint64_t seed) {
  const at::Tensor flat = map.flatten(1);
  return flat.index_select(1, moved_to(map.device(), uniform({flat.size(1)}, seed).argsort())).view_as(map);
}

/// `max(0, y - y') / y`, 0 where y is not above 0.
inline at::Tensor drop_of(const at::Tensor& y, const at::Tensor& masked) {
  return ((y - masked).relu() / y).masked_fill(y.le(0), 0);
}

}  // namespace detail

/// Average drop and increase in confidence: the score y' of the input times its map, normalised to [0, 1] and enlarged,
/// against the score y of the input itself; means over images are the figures of the paper.
///
/// Chattopadhay et al. 2018, "Grad-CAM++", whose scores are probabilities: take `Target::softmax` or
/// `Target([](const Tensor& y) {...})`. Two runs of the model beside the plain one. `seed`: of the reference's places.
inline DropIncrease drop_increase(const Model& model, const at::Tensor& input, const Explanation& explanation,
                                  const Target& target = {}, uint64_t seed = 0) {
  detail::check_batch(explanation, input);
  model.check_evaluation();
  const detail::NoGraph no_graph;
  const detail::Runner runner(model);
  const at::Tensor output = runner.forward(input);
  const Target of_images = target.of(output, at::arange(input.size(0), at::kLong));
  const at::Tensor y = target.scores(output);
  const auto score = [&](const at::Tensor& map) {
    return of_images.scores(runner.forward(detail::masked_by(map, input)));
  };
  const auto increase = [&](const at::Tensor& masked) { return masked.gt(y).to(y.dtype()); };

  const at::Tensor map = explanation.normalised();
  const at::Tensor own = score(map);
  const at::Tensor shuffled = score(detail::shuffled(map, seed));
  return {detail::drop_of(y, own), increase(own), detail::drop_of(y, shuffled), increase(shuffled)};
}

}  // namespace sightglass
