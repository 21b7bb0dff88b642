#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"

namespace sightglass {

/// Test-time smoothing: the mean of a method's maps of the input and its mirror image, each at several strengths.
///
/// Wraps any method: `Smoothed<LayerCam>{}`. Each of `strengths` multiplies the input; mirrored maps are mirrored back.
/// As pytorch-grad-cam's `aug_smooth`.
template <class Method = GradCam>
struct Smoothed {
  Method method = {};
  std::vector<double> strengths = {0.9, 1.0, 1.1};

  at::Tensor operator()(const Cut& cut) const {
    TORCH_CHECK(!strengths.empty(), "strengths: got none; 1.0 is the input as it is");
    const at::Tensor x = cut.input();
    const at::Tensor images = at::arange(x.size(0), at::kLong);
    at::Tensor sum;
    for (const double strength : strengths) {
      const at::Tensor straight = method(cut.again(x * strength, images));
      const at::Tensor mirrored = method(cut.again(x.flip({x.dim() - 1}) * strength, images));
      const at::Tensor both = straight + mirrored.flip({mirrored.dim() - 1});
      sum = sum.defined() ? sum + both : both;
    }
    return sum / (2.0 * static_cast<double>(strengths.size()));
  }
};

}  // namespace sightglass
