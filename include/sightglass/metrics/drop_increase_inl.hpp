#pragma once

#include "sightglass/metrics/drop_increase.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor masked_by(const at::Tensor& map, const at::Tensor& input) {
  return input * resize_map(map, input.sizes().slice(2)).unsqueeze(1).to(input.options());
}

SIGHTGLASS_INLINE at::Tensor shuffled(const at::Tensor& map, uint64_t seed) {
  const at::Tensor flat = map.flatten(1);
  return flat.index_select(1, moved_to(map.device(), uniform({flat.size(1)}, seed).argsort())).view_as(map);
}

SIGHTGLASS_INLINE at::Tensor drop_of(const at::Tensor& y, const at::Tensor& masked) {
  return ((y - masked).relu() / y).masked_fill(y.le(0), 0);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE DropIncrease drop_increase(const Model& model, const at::Tensor& input,
                                             const Explanation& explanation, const Target& target, uint64_t seed) {
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
