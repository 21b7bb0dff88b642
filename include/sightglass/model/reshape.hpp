#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace sightglass {

/// How the output of a transformer's layer is seen as activations `[N, C, *S]`, and back.
struct Reshape {
  /// From the layer's output to `[N, C, *S]`; works for gradients too.
  std::function<at::Tensor(const at::Tensor& output)> to_maps;
  /// Back: what `to_maps` leaves out (class tokens) is taken from `output`. Methods that run the rest of the model
  /// again need it, the others do not.
  std::function<at::Tensor(const at::Tensor& maps, const at::Tensor& output)> to_output = {};

  /// Tokens `[N, skip + height * width, C]`, row by row after `skip` class and register tokens (ViT: 1, with a
  /// distillation token 2).
  static Reshape tokens(int64_t height, int64_t width, int64_t skip = 1) { return tokens({height, width}, skip); }
  /// The same for a grid of one to three dimensions.
  static Reshape tokens(const std::vector<int64_t>& grid, int64_t skip);

  /// Places in a row, `[N, C, height * width]`.
  static Reshape flat(const std::vector<int64_t>& grid);

  /// `[N, *S, C]`, as Swin transformers have it.
  static Reshape channels_last();

 private:
  static int64_t places_of(const std::vector<int64_t>& grid);
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/reshape_inl.hpp"
#endif
