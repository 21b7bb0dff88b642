#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

/// Random-CAM, a control: `map = relu(sum_k w_k * A_k)` with weights uniform in [-1, 1]; a method worth its name must
/// do better.
///
/// The same weights for each image, and at each call with the same seed; the global random state is not touched.
struct RandomCam {
  /// The same seed gives the same map.
  uint64_t seed = 0;

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    const at::Tensor weights =
        detail::moved_to(a.device(), detail::uniform({1, a.size(1)}, seed)).to(a.dtype()) * 2 - 1;
    return detail::weigh(weights.expand({a.size(0), -1}), a).relu_();
  }
};

}  // namespace sightglass
