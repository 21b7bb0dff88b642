#pragma once

#include "sightglass/model/torchvision_operators.hpp"

#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

namespace detail {

/// Which pixels of a side the samples of its bins read, and how much of each: bins x pixels, from `first` on.
struct BinWeights {
  int64_t first = 0;
  at::Tensor weights;  ///< `[bins, pixels]`; no pixels where all samples lie outside
};

/// The side of a region that begins at `start`, has `bins` bins of `bin` pixels each, of a map of `size` pixels.
SIGHTGLASS_INLINE BinWeights bin_weights(double start, double bin, int64_t bins, int64_t samples, int64_t size) {
  std::vector<double> all(static_cast<size_t>(bins * size), 0);
  int64_t first = size, last = -1;
  const auto add = [&](int64_t row, int64_t pixel, double share) {
    all[static_cast<size_t>(row * size + pixel)] += share / static_cast<double>(samples);
    first = std::min(first, pixel);
    last = std::max(last, pixel);
  };
  for (int64_t row = 0; row < bins; ++row) {
    for (int64_t i = 0; i < samples; ++i) {
      double at =
          start + (static_cast<double>(row) + (static_cast<double>(i) + 0.5) / static_cast<double>(samples)) * bin;
      if (!(at >= -1 && at <= static_cast<double>(size))) continue;
      at = std::max(at, 0.0);
      const auto low = std::min(static_cast<int64_t>(at), size - 1);
      const double beyond = low == size - 1 ? 0 : at - static_cast<double>(low);
      add(row, low, 1 - beyond);
      if (beyond > 0) add(row, low + 1, beyond);
    }
  }
  if (last < first) return {};
  const at::Tensor weights = at::from_blob(all.data(), {bins, size}, at::kDouble);
  return {first, weights.slice(1, first, last + 1).clone()};
}

}  // namespace detail

SIGHTGLASS_INLINE at::Tensor nms(const at::Tensor& boxes, const at::Tensor& scores, double threshold) {
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "boxes: got ", boxes.sizes(), ", expected [N, 4]");
  TORCH_CHECK(scores.dim() == 1 && scores.size(0) == boxes.size(0), "scores: got ", scores.sizes(),
              ", expected one for each of ", boxes.size(0), " boxes");
  const detail::NoGraph no_graph;
  const at::Tensor order = std::get<1>(scores.detach().sort(/*stable=*/true, /*dim=*/0, /*descending=*/true)).cpu();
  const at::Tensor sorted = boxes.detach().cpu().to(at::kDouble).index_select(0, order).contiguous();
  const auto count = static_cast<size_t>(boxes.size(0));
  const auto* const corners = sorted.data_ptr<double>();
  const auto area = [](const double* box) { return (box[2] - box[0]) * (box[3] - box[1]); };
  std::vector<bool> gone(count, false);
  std::vector<int64_t> kept;
  for (size_t i = 0; i < count; ++i) {
    if (gone[i]) continue;
    kept.push_back(static_cast<int64_t>(i));
    const double* const a = corners + 4 * i;
    for (size_t j = i + 1; j < count; ++j) {
      const double* const b = corners + 4 * j;
      const double width = std::max(0.0, std::min(a[2], b[2]) - std::max(a[0], b[0]));
      const double height = std::max(0.0, std::min(a[3], b[3]) - std::max(a[1], b[1]));
      const double shared = width * height;
      if (shared / (area(a) + area(b) - shared) > threshold) gone[j] = true;
    }
  }
  return order.index_select(0, at::tensor(kept, at::kLong)).to(boxes.device());
}

SIGHTGLASS_INLINE at::Tensor roi_align(const at::Tensor& input, const at::Tensor& regions, double scale, int64_t height,
                                       int64_t width, int64_t sampling_ratio, bool aligned) {
  TORCH_CHECK(input.dim() == 4, "input: got ", input.sizes(), ", expected [N, C, H, W]");
  TORCH_CHECK(regions.dim() == 2 && regions.size(1) == 5, "regions: got ", regions.sizes(), ", expected [K, 5]");
  TORCH_CHECK(height > 0 && width > 0, "height, width: got ", height, " and ", width, ", expected sizes above 0");
  const at::Tensor corners = regions.detach().cpu().to(at::kDouble).contiguous();
  std::vector<at::Tensor> cut;
  for (int64_t k = 0; k < corners.size(0); ++k) {
    const double* const region = corners.data_ptr<double>() + 5 * k;
    const auto image = static_cast<int64_t>(region[0]);
    TORCH_CHECK(image >= 0 && image < input.size(0), "regions: number ", k, " is of image ", image, " of ",
                input.size(0));
    const auto side = [&](double begin, double end, int64_t bins, int64_t size) {
      const double start = begin * scale - (aligned ? 0.5 : 0), length = end * scale - (aligned ? 0.5 : 0) - start;
      const double bin = (aligned ? length : std::max(length, 1.0)) / static_cast<double>(bins);
      constexpr double longest = 1e5;  // pixels a bin, each of which is sampled
      TORCH_CHECK(std::abs(start) < longest && std::abs(bin) < longest, "regions: number ", k, " goes from ",
                  begin * scale, " to ", end * scale, " on a side of ", size, " pixels");
      const auto samples = sampling_ratio > 0 ? sampling_ratio : static_cast<int64_t>(std::ceil(bin));
      return detail::bin_weights(start, bin, bins, samples, size);
    };
    const detail::BinWeights down = side(region[2], region[4], height, input.size(2));
    const detail::BinWeights across = side(region[1], region[3], width, input.size(3));
    if (!down.weights.defined() || !across.weights.defined()) {
      cut.push_back(at::zeros({input.size(1), height, width}, input.options()));
      continue;
    }
    const at::Tensor part = input.select(0, image)
                                .narrow(1, down.first, down.weights.size(1))
                                .narrow(2, across.first, across.weights.size(1));
    cut.push_back(at::matmul(at::matmul(down.weights.to(part.options()), part), across.weights.to(part.options()).t()));
  }
  return cut.empty() ? at::zeros({0, input.size(1), height, width}, input.options()) : at::stack(cut);
}

namespace detail {

/// What detectors name beside, in branches that they do not take.
[[noreturn]] SIGHTGLASS_INLINE void refuse_operator(const char* name) {
  TORCH_CHECK(false, "torchvision::", name, " is not provided; load torchvision's own library before the model");
}

SIGHTGLASS_INLINE void define_torchvision_operators(torch::Library& library) {
  const auto lacks = [](const char* name) { return !c10::Dispatcher::singleton().findSchema({name, ""}).has_value(); };
  const std::string regions =
      "(Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width, int sampling_ratio, bool "
      "aligned) -> Tensor";
  const std::string suppression = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor";
  if (lacks("torchvision::nms")) library.def(("nms" + suppression).c_str(), &nms);
  if (lacks("torchvision::roi_align")) library.def(("roi_align" + regions).c_str(), &roi_align);
  if (lacks("torchvision::qnms"))
    library.def(("qnms" + suppression).c_str(),
                [](const at::Tensor&, const at::Tensor&, double) -> at::Tensor { refuse_operator("qnms"); });
  if (lacks("torchvision::qroi_align"))
    library.def(("qroi_align" + regions).c_str(),
                [](const at::Tensor&, const at::Tensor&, double, int64_t, int64_t, int64_t, bool) -> at::Tensor {
                  refuse_operator("qroi_align");
                });
  if (lacks("torchvision::box_iou_rotated"))
    library.def("box_iou_rotated(Tensor boxes1, Tensor boxes2) -> Tensor",
                [](const at::Tensor&, const at::Tensor&) -> at::Tensor { refuse_operator("box_iou_rotated"); });
}

}  // namespace detail

SIGHTGLASS_INLINE void provide_torchvision_operators() {
  // Never taken away again: a loaded model may outlive everything that is static.
  static const torch::Library* const library = [] {
    auto* const made = new torch::Library(torch::Library::FRAGMENT, "torchvision", c10::nullopt, __FILE__, __LINE__);
    detail::define_torchvision_operators(*made);
    return made;
  }();
  static_cast<void>(library);
}

}  // namespace sightglass
