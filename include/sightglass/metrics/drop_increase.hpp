#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/model.hpp"
#include "sightglass/cam/random.hpp"
#include "sightglass/cam/target.hpp"

namespace sightglass {

/// What is left of the target's scores when an input is masked by its map; all `[N]`.
struct DropIncrease {
  at::Tensor drop;      ///< `max(0, y - y') / y`, 0 where y is not above 0; lower is better
  at::Tensor increase;  ///< 1 where `y' > y`, else 0; higher is better
  /// The same for the map's values at places drawn at random: what a map of this much mass is worth by itself.
  at::Tensor reference_drop;
  at::Tensor reference_increase;
};

/// Average drop and increase in confidence: the score y' of the input times its map, normalised to [0, 1] and enlarged,
/// against the score y of the input itself; means over images are the figures of the paper.
///
/// Chattopadhay et al. 2018, "Grad-CAM++", whose scores are probabilities: take `Target::softmax` or
/// `Target([](const Tensor& y) {...})`. Two runs of the model beside the plain one. `seed`: of the reference's places.
inline DropIncrease drop_increase(const Model& model, const at::Tensor& input, const Explanation& explanation,
                                  const Target& target = {}, uint64_t seed = 0) {
  TORCH_CHECK(input.size(0) == explanation.map().size(0), "explanation: came one of ", explanation.map().size(0),
              " images for an input of ", input.size(0));
  model.check_evaluation();
  const at::NoGradGuard no_gradients;
  const at::Tensor output = model.forward(input);
  const Target of_images = target.of(output, at::arange(input.size(0), at::kLong));
  const at::Tensor y = target.scores(output);
  const auto score = [&](const at::Tensor& map) {
    const at::Tensor mask = detail::resize_map(map, input.sizes().slice(2)).unsqueeze(1);
    return of_images.scores(model.forward(input * mask.to(input.options())));
  };
  const auto drop = [&](const at::Tensor& masked) { return ((y - masked).relu() / y).masked_fill(y.le(0), 0); };
  const auto increase = [&](const at::Tensor& masked) { return masked.gt(y).to(y.dtype()); };

  const at::Tensor map = explanation.normalised();
  const at::Tensor order = detail::uniform({map.flatten(1).size(1)}, seed).argsort().to(map.device());
  const at::Tensor own = score(map);
  const at::Tensor shuffled = score(map.flatten(1).index_select(1, order).view_as(map));
  return {drop(own), increase(own), drop(shuffled), increase(shuffled)};
}

}  // namespace sightglass
