#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace sightglass {

/// Provides torchvision's operators that its scripted detectors name and LibTorch has not, `torchvision::nms` and
/// `torchvision::roi_align`, so that `torch::jit::load` takes such a file without torchvision's library: made of ATen's
/// operations, on any device, `roi_align` with its gradient. Call it before loading.
///
/// Those that the process has already stay. torchvision's own library must be loaded before, or not at all.
void provide_torchvision_operators();

/// Non-maximum suppression: the numbers of the boxes that stay, `[K]` int64, highest score first. A box goes where its
/// intersection over union with one that stays is above `threshold`.
///
/// `boxes` `[N, 4]` as x0, y0, x1, y1; `scores` `[N]`. Throws `c10::Error` for other shapes. As `torchvision.ops.nms`.
at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double threshold);

/// Cuts regions out of maps and resizes them: `[K, C, height, width]`, differentiable in `input`.
///
/// Each value is the mean of bilinear samples, `sampling_ratio` along each side of a bin, or as many as a bin has
/// pixels where that is not positive. `input` `[N, C, H, W]`; `regions` `[K, 5]` as number in the batch, x0, y0, x1,
/// y1, which are multiplied by `scale`; `aligned` shifts them by half a pixel. Throws `c10::Error` for other shapes,
/// and for an image that the batch has not. He et al. 2017, "Mask R-CNN"; as `torchvision.ops.roi_align`.
at::Tensor roi_align(const at::Tensor& input, const at::Tensor& regions, double scale, int64_t height, int64_t width,
                     int64_t sampling_ratio, bool aligned);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/torchvision_operators_inl.hpp"
#endif
