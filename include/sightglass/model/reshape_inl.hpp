#pragma once

#include "sightglass/model/reshape.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Reshape Reshape::tokens(const std::vector<int64_t>& grid, int64_t skip) {
  const int64_t places = places_of(grid);
  TORCH_CHECK(skip >= 0, "skip: got ", skip);
  return {[=](const at::Tensor& output) {
            TORCH_CHECK(output.dim() == 3 && output.size(1) == skip + places, "tokens: got ", output.sizes(),
                        ", expected [N, ", skip, " + ", places, ", C]");
            return output.slice(1, skip).transpose(1, 2).unflatten(2, grid);
          },
          [=](const at::Tensor& maps, const at::Tensor& output) {
            return at::cat({output.slice(1, 0, skip), maps.flatten(2).transpose(1, 2)}, 1);
          }};
}

SIGHTGLASS_INLINE Reshape Reshape::flat(const std::vector<int64_t>& grid) {
  const int64_t places = places_of(grid);
  return {[=](const at::Tensor& output) {
            TORCH_CHECK(output.dim() == 3 && output.size(2) == places, "flat: got ", output.sizes(),
                        ", expected [N, C, ", places, "]");
            return output.unflatten(2, grid);
          },
          [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.flatten(2); }};
}

SIGHTGLASS_INLINE Reshape Reshape::channels_last() {
  return {[](const at::Tensor& output) { return output.movedim(-1, 1); },
          [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.movedim(1, -1); }};
}

SIGHTGLASS_INLINE int64_t Reshape::places_of(const std::vector<int64_t>& grid) {
  int64_t places = 1;
  for (const int64_t length : grid) {
    TORCH_CHECK(length > 0, "grid: got ", at::IntArrayRef(grid), "; expected lengths above 0");
    places *= length;
  }
  return places;
}

}  // namespace sightglass
