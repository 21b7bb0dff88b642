#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sightglass {

/// A layer as it ran in one forward pass, as `layers` and `summary` find it. What stands inside a layer counts for it
/// too.
struct LayerInfo {
  std::string name;            ///< its path, such as `layer4.1.conv2`
  std::string type;            ///< its class, such as `torch::nn::Conv2dImpl`
  std::vector<int64_t> shape;  ///< of its (first) output at its last call; empty where it did not run, or unseen
  /// `[N, C, *S]`: the output as methods see it, where that is another shape (channels last, tokens).
  std::vector<int64_t> maps = {};
  int64_t parameters = 0;        ///< elements; those that several layers share count once
  int64_t trainable = 0;         ///< of them, those that require a gradient
  int64_t multiply_adds = 0;     ///< of all its calls
  int64_t activation_bytes = 0;  ///< of all its outputs; 0 for what is written in place or only seen another way
  int64_t calls = 0;             ///< 0: as for `shape`
  bool is_leaf = false;          ///< it has no submodules

  /// True where the output is seen as `[N, C, *S]` with at least two places: what a map can be drawn of.
  bool is_spatial() const {
    const std::vector<int64_t>& seen = maps.empty() ? shape : maps;
    int64_t places = 1;
    for (size_t d = 2; d < seen.size(); ++d) places *= seen[d];
    return seen.size() >= 3 && seen.size() <= 5 && places > 1;
  }
};

}  // namespace sightglass
