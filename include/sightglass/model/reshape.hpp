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
  static Reshape tokens(const std::vector<int64_t>& grid, int64_t skip) {
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

  /// Places in a row, `[N, C, height * width]`.
  static Reshape flat(const std::vector<int64_t>& grid) {
    const int64_t places = places_of(grid);
    return {[=](const at::Tensor& output) {
              TORCH_CHECK(output.dim() == 3 && output.size(2) == places, "flat: got ", output.sizes(),
                          ", expected [N, C, ", places, "]");
              return output.unflatten(2, grid);
            },
            [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.flatten(2); }};
  }

  /// `[N, *S, C]`, as Swin transformers have it.
  static Reshape channels_last() {
    return {[](const at::Tensor& output) { return output.movedim(-1, 1); },
            [](const at::Tensor& maps, const at::Tensor& /*output*/) { return maps.movedim(1, -1); }};
  }

 private:
  static int64_t places_of(const std::vector<int64_t>& grid) {
    int64_t places = 1;
    for (const int64_t length : grid) {
      TORCH_CHECK(length > 0, "grid: got ", at::IntArrayRef(grid), "; expected lengths above 0");
      places *= length;
    }
    return places;
  }
};

}  // namespace sightglass
