#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// How maps of several layers become one.
enum class Fusion {
  mean,     ///< of the normalised maps
  max,      ///< of the normalised maps
  peaks,    ///< the maximum of `M / max M`, as Ultralytics' LayerCAM of several levels: what is 0 stays so
  tanh,     ///< LayerCAM's (Jiang 2021): the maximum of `tanh(2 M / max M)`, which lifts shallow layers
  product,  ///< of the normalised maps (RefineCAM, arXiv 2605.14641): only what all layers see stays
};

namespace detail {

/// Maps `[N, *S]` by their greatest values, each; those without a positive one stay as they are.
inline at::Tensor by_peak(const at::Tensor& maps) {
  const at::Tensor highest = over_each(maps.flatten(1).amax(1), maps.dim());
  return maps / highest.masked_fill(highest.le(0), 1);
}

/// A map of one layer as it goes into the fused one, of `size`.
inline at::Tensor to_fuse(const Explanation& one, Fusion fusion, at::IntArrayRef size) {
  if (fusion == Fusion::peaks) return by_peak(resize_map(one.map(), size));
  return resize_map(fusion == Fusion::tanh ? (2 * by_peak(one.map())).tanh() : one.normalised(), size);
}

}  // namespace detail

/// One explanation from several of the same batch and target, such as those of several layers.
///
/// Each map is normalised to [0, 1] (tanh, peaks: divided by its maximum; peaks: once it is enlarged), enlarged to
/// `size` `[*S]`, by default that of the largest, and fused there; scores, targets and input size are the first's.
/// Throws `c10::Error` where there is none, or batches differ.
inline Explanation fuse(const std::vector<Explanation>& explanations, Fusion fusion = Fusion::mean,
                        std::vector<int64_t> size = {}) {
  TORCH_CHECK(!explanations.empty(), "explanations: got none; give at least one");
  const at::IntArrayRef first_sizes = explanations.front().map().sizes();
  const bool as_largest = size.empty();
  if (as_largest) size = first_sizes.slice(1).vec();
  TORCH_CHECK(size.size() + 1 == first_sizes.size(), "size: got ", at::IntArrayRef(size), ", the maps have ",
              first_sizes.size() - 1, " dimensions");
  for (const Explanation& each : explanations) {
    const at::IntArrayRef own = each.map().sizes();
    TORCH_CHECK(own.size() == first_sizes.size() && own[0] == first_sizes[0],
                "explanations: their maps must be of one batch; got ", first_sizes, " and ", own);
    for (size_t d = 0; as_largest && d < size.size(); ++d) size[d] = std::max(size[d], own[d + 1]);
  }
  std::vector<at::Tensor> maps;
  for (const Explanation& each : explanations) maps.push_back(detail::to_fuse(each, fusion, size));
  at::Tensor fused = maps.front();
  for (size_t i = 1; i < maps.size(); ++i) {
    fused = fusion == Fusion::mean      ? fused + maps[i]
            : fusion == Fusion::product ? fused * maps[i]
                                        : at::maximum(fused, maps[i]);
  }
  if (fusion == Fusion::mean) fused = fused / static_cast<double>(maps.size());
  const Explanation& first = explanations.front();
  return {fused, first.scores(), first.targets(), first.input_size()};
}

}  // namespace sightglass
