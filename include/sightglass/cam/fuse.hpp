#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// How maps of several layers become one.
enum class Fusion {
  mean,     ///< of the normalised maps
  max,      ///< of the normalised maps
  tanh,     ///< LayerCAM's (Jiang 2021): the maximum of `tanh(2 M / max M)`, which lifts shallow layers
  product,  ///< of the normalised maps (RefineCAM, arXiv 2605.14641): only what all layers see stays
};

/// One explanation from several of the same batch and target, such as those of several layers.
///
/// Each map is normalised to [0, 1] (tanh: divided by its maximum), enlarged to the size of the largest, and fused
/// there; scores, targets and input size are the first's. Throws `c10::Error` where there is none, or batches
/// differ.
inline Explanation fuse(const std::vector<Explanation>& explanations, Fusion fusion = Fusion::mean) {
  TORCH_CHECK(!explanations.empty(), "explanations: got none; give at least one");
  std::vector<int64_t> size = explanations.front().map().sizes().slice(1).vec();
  for (const Explanation& each : explanations) {
    const at::IntArrayRef own = each.map().sizes();
    TORCH_CHECK(own.size() == size.size() + 1 && own[0] == explanations.front().map().size(0),
                "explanations: their maps must be of one batch; got ", explanations.front().map().sizes(), " and ",
                own);
    for (size_t d = 0; d < size.size(); ++d) size[d] = std::max(size[d], own[d + 1]);
  }
  std::vector<at::Tensor> maps;
  for (const Explanation& each : explanations) {
    at::Tensor map = each.normalised();
    if (fusion == Fusion::tanh) {
      const at::Tensor highest = detail::over_each(each.map().flatten(1).amax(1), map.dim());
      map = (each.map() * 2 / highest.masked_fill(highest.le(0), 1)).tanh();
    }
    maps.push_back(detail::resize_map(map, size));
  }
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
