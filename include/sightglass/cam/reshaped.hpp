#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/model/reshape.hpp"

namespace sightglass {

/// Any method on the tokens of a transformer, seen as you say: `Reshaped<LayerCam>{{}, Reshape::tokens(14, 14)}`.
/// Needed where a pass cannot tell the layout by itself.
template <class Method = GradCam>
struct Reshaped {
  Method method = {};
  Reshape reshape;
  static constexpr Tail tail = detail::tail_for<Method>;

  at::Tensor operator()(const Cut& cut) const { return method(cut.reshaped(reshape)); }
};

}  // namespace sightglass
