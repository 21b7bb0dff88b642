#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Occlusion: how much the score falls when a window of the input, all channels, is covered; at each place the mean
/// over the windows that cover it. Looks at input and output only; the layer does not matter.
///
/// The map is `[N, *S]`, the input's size, signed. Windows stand every `stride` places, the last one may stand out of
/// the input. Zeiler and Fergus 2014, "Visualizing and Understanding Convolutional Networks"; as captum's `Occlusion`.
struct Occlusion {
  /// The side of what is covered, in places of the input.
  int64_t window = 32;
  /// How far windows are apart, in places of the input.
  int64_t stride = 16;
  double baseline = 0;  ///< what covers the input
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

 private:
  /// What window number `index` covers of `tensor`, whose spatial dimensions begin at `from`.
  at::Tensor part(at::Tensor tensor, int64_t from, int64_t index, const std::vector<int64_t>& counts) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/occlusion_inl.hpp"
#endif
