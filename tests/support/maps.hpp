#pragma once

#include <sightglass/cam/explanation.hpp>

namespace support {

/// An explanation of maps `[N, h, w]` made by hand.
inline sightglass::Explanation maps_of(const at::Tensor& maps) {
  const int64_t images = maps.size(0);
  return {maps, at::zeros({images}), at::zeros({images}, at::kLong), maps.sizes().slice(1).vec()};
}

}  // namespace support
