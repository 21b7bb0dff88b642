#pragma once

#include "sightglass/metrics/cascading_randomisation.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Likeness::Likeness(const Explanation& original)
    : map_(finite(original.map())), picture_(picture(original)) {}

SIGHTGLASS_INLINE void Likeness::add(const Explanation& other) {
  ranks_.push_back(rank_correlation(map_, finite(other.map())));
  if (picture_.defined()) structures_.push_back(structural_similarity(picture_, picture(other)));
}

SIGHTGLASS_INLINE at::Tensor Likeness::by_structure() const {
  return picture_.defined() ? at::stack(structures_) : at::Tensor();
}

SIGHTGLASS_INLINE at::Tensor Likeness::finite(const at::Tensor& map) { return map.nan_to_num(0, 0, 0); }

SIGHTGLASS_INLINE at::Tensor Likeness::picture(const Explanation& explanation) {
  const at::Tensor map = explanation.normalised();
  if (map.dim() != 3) return {};
  const std::vector<int64_t>& size = explanation.input_size();
  return resize_map(map, {std::max<int64_t>(11, size[0]), std::max<int64_t>(11, size[1])});
}

SIGHTGLASS_INLINE Likeness likeness_by_chance(const Explanation& original, int64_t draws, uint64_t seed) {
  Likeness likeness(original);
  for (int64_t draw = 0; draw < draws; ++draw) {
    const at::Tensor map = shuffled(original.map(), seed + static_cast<uint64_t>(draw));
    likeness.add({map, original.scores(), original.targets(), original.input_size()});
  }
  return likeness;
}

}  // namespace sightglass::detail
