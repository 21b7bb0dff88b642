#pragma once

#include <torch/arg.h>
#include <torch/types.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>

#include "sightglass/opencv/colour_map.hpp"
#include "sightglass/opencv/preprocessing.hpp"

namespace sightglass {

/// How a map's values are spread over the colours.
enum class MapRange {
  min_max,         ///< from the map's smallest value to its greatest, as matplotlib's `imshow` does
  symmetric_zero,  ///< from -m to m, m the greatest magnitude: zero lies in the middle
};

/// Options of `overlay`.
struct OverlayOptions {
  /// The map's weight in the blend, 0 (only the photo) to 1 (only the map).
  TORCH_ARG(double, alpha) = 0.6;
  /// How the map's values become colours.
  TORCH_ARG(ColourMap, colour_map) = ColourMap::magma;
  /// Which values have the ends of the colour map.
  TORCH_ARG(MapRange, range) = MapRange::min_max;

 public:
  /// For maps whose sign matters (CAM, attributions): blue against, red for, and the photo itself where the map is
  /// zero.
  OverlayOptions& signed_map() { return range(MapRange::symmetric_zero).colour_map(ColourMap::blue_red); }
};

namespace detail {

/// The map as `CV_32FC1` in 0 to 1; a map without any contrast is all zeros (`min_max`) or all in the middle.
inline cv::Mat unit_map(const torch::Tensor& map, MapRange range) {
  TORCH_CHECK(map.defined() && map.is_floating_point(), "map: is ",
              map.defined() ? c10::toString(map.scalar_type()) : "undefined",
              "; expected a floating-point type; use map.to(torch::kFloat)");
  TORCH_CHECK(map.dim() == 2 && map.numel() > 0, "map: has shape ", map.sizes(),
              "; expected [h, w], the map of one image; of a batch take one: map[0]");
  torch::Tensor values = map.detach().to(torch::kCPU, torch::kDouble).contiguous();
  TORCH_CHECK(values.isfinite().all().item<bool>(),
              "map: holds NaN or infinity; expected finite values; see Explanation::status");
  const double low = values.min().item<double>(), high = values.max().item<double>();
  if (range == MapRange::symmetric_zero) {
    const double greatest = std::max(std::abs(low), std::abs(high));
    values = greatest > 0 ? values / greatest * 0.5 + 0.5 : torch::full_like(values, 0.5);
  } else {
    values = high > low ? (values - low) / (high - low) : torch::zeros_like(values);
  }
  const cv::Mat unit(static_cast<int>(values.size(0)), static_cast<int>(values.size(1)), CV_64FC1, values.data_ptr());
  cv::Mat result;
  unit.convertTo(result, CV_32F);  // copies: the tensor's memory ends here
  return result;
}

/// How much of the colours shows at each pixel: alpha; for signed maps alpha times the magnitude's square root, so that
/// zero leaves the photo as it is and weak evidence is still seen.
inline cv::Mat blend_weights(const cv::Mat& unit, const OverlayOptions& options) {
  if (options.range() == MapRange::min_max) return cv::Mat(unit.size(), CV_32FC1, cv::Scalar(options.alpha()));
  cv::Mat weights = cv::abs(unit - 0.5) * 2;
  cv::sqrt(weights, weights);
  return weights * options.alpha();
}

}  // namespace detail

/// A map over the photo that it explains: scaled to its own range, enlarged to the photo's size, coloured and blended.
///
/// The map is enlarged bilinearly with half-pixel centres, as `interpolate(mode = bilinear, align_corners = false)`.
/// The defaults are the fastai chapter's `imshow(map, alpha=0.6, interpolation='bilinear', cmap='magma')`. Throws
/// `c10::Error` for another type or shape of either, for NaN or infinity in the map, for an alpha outside 0 to 1.
/// @param photo `CV_8UC3` BGR, or grey `CV_8UC1`.
/// @param map `[h, w]` raw values of any floating type on any device. A constant map counts as zero everywhere.
/// @return `CV_8UC3` BGR of the photo's size.
inline cv::Mat overlay(const cv::Mat& photo, const torch::Tensor& map,
                       const OverlayOptions& options = OverlayOptions()) {
  detail::check_picture(photo, "photo");
  TORCH_CHECK(options.alpha() >= 0 && options.alpha() <= 1, "alpha: is ", options.alpha(),
              "; expected 0 (only the photo) to 1 (only the map)");
  cv::Mat unit;
  cv::resize(detail::unit_map(map, options.range()), unit, photo.size(), 0, 0, cv::INTER_LINEAR);
  const cv::Mat weights = detail::blend_weights(unit, options);
  const cv::Mat background = detail::convert_channels(photo, ColourOrder::bgr, ColourOrder::bgr, 3);
  cv::Mat blended;
  cv::blendLinear(colourise(unit, options.colour_map()), background, weights, 1 - weights, blended);
  return blended;
}

}  // namespace sightglass
