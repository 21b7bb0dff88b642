#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "sightglass/opencv/chart.hpp"
#include "sightglass/opencv/detail/frame.hpp"
#include "sightglass/opencv/detail/names.hpp"

/// A legend for more layers than a list has room for: their colours as one bar, the first layer above, and the names of
/// some.
namespace sightglass::detail {

/// Which of `count` layers are named on a bar `height` pixels high: first, last, and some between at equal distances.
inline std::vector<size_t> named_depths(size_t count, int height) {
  constexpr int least_pitch = 40;
  if (count == 0) return {};
  const size_t names = std::min(count, static_cast<size_t>(std::max(2, height / least_pitch + 1)));
  std::vector<size_t> indices;
  for (size_t i = 0; i < names; ++i) {
    const double share = names < 2 ? 0 : static_cast<double>(i) / static_cast<double>(names - 1);
    indices.push_back(static_cast<size_t>(std::lround(share * static_cast<double>(count - 1))));
  }
  return indices;
}

/// The rows of the bar that a layer has.
inline cv::Range rows_of_depth(size_t index, size_t count, int height) {
  const auto row = [&](size_t i) {
    return static_cast<int>(std::lround(static_cast<double>(i) * height / static_cast<double>(count)));
  };
  return {row(index), row(index + 1)};
}

/// Draws the bar and the names into a box of the canvas.
inline void draw_depth_legend(cv::Mat& canvas, const cv::Rect& box, const std::vector<std::string>& names) {
  constexpr int thickness = 14, text_left = thickness + 8;
  const int height = box.height - 12;  // half a line above and below, for the first and the last name
  if (names.empty() || box.width < 40 || height < 40) return;
  cv::Mat bar = canvas(cv::Rect(box.x, box.y + 6, thickness, height));
  for (size_t i = 0; i < names.size(); ++i) {
    const cv::Range rows = rows_of_depth(i, names.size(), height);
    if (rows.start < rows.end) bar.rowRange(rows).setTo(depth_colour(i, names.size()));
  }
  const std::vector<std::string> texts = told_apart(names, box.width - text_left, tick_text);
  for (const size_t i : named_depths(names.size(), height)) {
    const cv::Range rows = rows_of_depth(i, names.size(), height);
    const int middle = box.y + 6 + (rows.start + rows.end) / 2;
    cv::line(canvas, {box.x + thickness, middle}, {box.x + thickness + 3, middle}, chart_ink());
    draw(canvas, {texts[i], tick_text}, {static_cast<double>(box.x + text_left), middle + 0.5 + tick_text / 2},
         chart_ink());
  }
}

}  // namespace sightglass::detail
