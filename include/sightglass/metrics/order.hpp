#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <tuple>

#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

/// Whether a metric also tells its reference level, where that does not depend on the map and so is the same for all
/// methods.
enum class Reference { computed, left_out };

namespace detail {

/// `[N, P]`: the input's P places, that of the map's highest value first, for an input of spatial size `size`; equal
/// values (a rectified map has many) in the order of the places, on every device.
inline at::Tensor places_by_relevance(const Explanation& explanation, at::IntArrayRef size) {
  const at::Tensor map = resize_map(explanation.map().nan_to_num(0, 0, 0), size).flatten(1);
  return std::get<1>(map.sort(/*stable=*/true, 1, /*descending=*/true));
}

/// `[N, P]`: the same places for each image, in random order.
inline at::Tensor places_at_random(const at::Tensor& like, uint64_t seed) {
  return moved_to(like.device(), uniform({like.size(1)}, seed).argsort()).expand_as(like).contiguous();
}

/// `[*size]`: which number each of the P places has in `order` `[P]`.
inline at::Tensor rank_of_places(const at::Tensor& order, at::IntArrayRef size) {
  return at::empty_like(order).scatter_(0, order, at::arange(order.size(0), order.options())).view(size);
}

}  // namespace detail

}  // namespace sightglass
