#pragma once

#include <c10/util/Exception.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>

#include "sightglass/opencv/axis.hpp"
#include "sightglass/opencv/colour_map.hpp"
#include "sightglass/opencv/detail/text.hpp"

namespace sightglass {

/// An upright colour bar with labelled ticks on white, to stand beside an overlay of the same height. Throws
/// `c10::Error` for a smaller height, for low above high, for NaN or infinity.
///
/// @param height in pixels, 40 at least.
/// @param low, high the values of the lowest and the highest colour, for an overlay the map's smallest and greatest;
///   for a signed map -m and m. Equal values, those of a constant map, give one tick.
/// @return `CV_8UC3` BGR, `height` pixels high, as wide as the labels ask for.
inline cv::Mat colour_bar(ColourMap map, int height, double low, double high) {
  TORCH_CHECK(height >= 40, "height: is ", height, " pixels; expected 40 at least");
  TORCH_CHECK(std::isfinite(high - low) && low <= high, "colour bar: goes from ", low, " to ", high,
              "; expected finite values, low <= high");
  constexpr int margin = 10, thickness = 16, text_left = margin + thickness + 8;
  constexpr double text_height = 9;
  const int length = height - 2 * margin, count = std::max(1, length / 28);
  const double step = high > low ? detail::tick_step(high - low, count) : 0;
  double widest = 0;
  for (const double value : detail::ticks(low, high, count))
    widest = std::max(widest, detail::Text{detail::tick_label(value, step), text_height}.width());

  const cv::Scalar white(255, 255, 255), ink(50, 50, 50);
  cv::Mat bar(height, text_left + static_cast<int>(std::ceil(widest)) + margin, CV_8UC3, white);
  cv::Mat values(length, thickness, CV_32FC1);
  for (int y = 0; y < length; ++y) values.row(y).setTo(1 - (y + 0.5) / length);
  colourise(values, map).copyTo(bar(cv::Rect(margin, margin, thickness, length)));
  for (const double value : detail::ticks(low, high, count)) {
    const double share = high > low ? (value - low) / (high - low) : 0;
    const int y = margin + std::min(length - 1, static_cast<int>((1 - share) * length));
    cv::line(bar, {margin + thickness, y}, {margin + thickness + 3, y}, ink);
    detail::draw(bar, {detail::tick_label(value, step), text_height}, {text_left, y + 0.5 + text_height / 2}, ink);
  }
  return bar;
}

}  // namespace sightglass
