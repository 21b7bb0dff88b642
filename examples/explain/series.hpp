#pragma once

#include <sightglass/opencv.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace support {

namespace detail {

/// A text of about 9 pixels, its left end and the middle of its height at `at`.
inline void write_at(cv::Mat& canvas, const std::string& text, const cv::Point& at) {
  cv::putText(canvas, text, at + cv::Point(0, 4), cv::FONT_HERSHEY_SIMPLEX, 0.4, cv::Scalar::all(50), 1, cv::LINE_AA);
}

inline std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

/// The distance of ticks over a length, of which there are eight at most.
inline int64_t tick_distance(int64_t length) {
  for (int64_t power = 1;; power *= 10)
    for (const int64_t factor : {1, 2, 5})
      if (length <= 8 * factor * power) return factor * power;
}

/// One channel as a curve over colours that stand for the map.
inline void draw_curve(cv::Mat& panel, const torch::Tensor& values) {
  const double low = values.min().item<double>(), high = values.max().item<double>();
  const torch::Tensor places = ((values - low) / (high > low ? high - low : 1)).contiguous();
  std::vector<cv::Point> points;
  for (int64_t i = 0; i < values.size(0); ++i) {
    const double x = (static_cast<double>(i) + 0.5) * panel.cols / static_cast<double>(values.size(0));
    const double y = panel.rows - 6 - places[i].item<double>() * (panel.rows - 12);
    points.emplace_back(static_cast<int>(std::lround(16 * x)), static_cast<int>(std::lround(16 * y)));
  }
  cv::polylines(panel, points, false, cv::Scalar::all(255), 2, cv::LINE_AA, 4);
  cv::polylines(panel, points, false, cv::Scalar::all(0), 1, cv::LINE_AA, 4);
}

}  // namespace detail

/// A series' channels as curves, one below the other, with a map behind them and under them, and a bar of its colours.
///
/// Of many channels the first twelve are drawn.
/// @param values `[C, L]`
/// @param map `[L]`
inline cv::Mat series_over(const torch::Tensor& values, const torch::Tensor& map,
                           const sightglass::OverlayOptions& style) {
  const int64_t length = values.size(1), channels = std::min<int64_t>(12, values.size(0));
  const double low = map.min().item<double>(), high = map.max().item<double>();
  const torch::Tensor unit = ((map - low) / (high > low ? high - low : 1)).to(torch::kFloat).contiguous();
  const int width = 800, panel_height = channels == 1 ? 240 : channels < 5 ? 110 : 56;
  const cv::Rect plot(86, 12, width, static_cast<int>(channels) * (panel_height + 4) - 4);
  const cv::Mat bar = sightglass::colour_bar(style.colour_map(), plot.height + 20, low, high);
  cv::Mat canvas(plot.br().y + 60, plot.br().x + bar.cols + 8, CV_8UC3, cv::Scalar::all(255));
  bar.copyTo(canvas(cv::Rect(plot.br().x + 4, plot.y - 10, bar.cols, bar.rows)));

  cv::Mat colours, blended;
  cv::resize(cv::Mat(1, static_cast<int>(length), CV_32FC1, unit.data_ptr()), colours, {width, panel_height}, 0, 0,
             cv::INTER_LINEAR);
  colours = sightglass::colourise(colours, style.colour_map());
  cv::addWeighted(colours, style.alpha(), cv::Mat(colours.size(), CV_8UC3, cv::Scalar::all(255)), 1 - style.alpha(), 0,
                  blended);
  for (int64_t c = 0; c < channels; ++c) {
    const cv::Rect box(plot.x, plot.y + static_cast<int>(c) * (panel_height + 4), width, panel_height);
    cv::Mat panel = canvas(box);
    blended.copyTo(panel);
    detail::draw_curve(panel, values[c].to(torch::kDouble).nan_to_num(0, 0, 0));
    if (channels > 1) detail::write_at(canvas, "channel " + std::to_string(c), {6, box.y + panel_height / 2});
    if (channels > 1) continue;
    detail::write_at(canvas, detail::short_number(values[c].max().item<double>()), {6, box.y + 8});
    detail::write_at(canvas, detail::short_number(values[c].min().item<double>()), {6, box.br().y - 8});
  }
  const int strip = 14, bottom = plot.br().y + 4 + strip;
  cv::resize(colours, canvas(cv::Rect(plot.x, plot.br().y + 4, width, strip)), {width, strip});
  detail::write_at(canvas, "the map", {6, plot.br().y + 4 + strip / 2});
  const int64_t step = detail::tick_distance(length);
  for (int64_t i = 0; i < length; i += step) {
    const int x = plot.x + static_cast<int>((static_cast<double>(i) + 0.5) * width / static_cast<double>(length));
    cv::line(canvas, {x, bottom}, {x, bottom + 4}, cv::Scalar::all(50));
    detail::write_at(canvas, std::to_string(i), {x - 4 * static_cast<int>(std::to_string(i).size()), bottom + 13});
  }
  const std::string more =
      values.size(0) > channels ? ", the first 12 of " + std::to_string(values.size(0)) + " channels" : "";
  detail::write_at(canvas, "element" + more, {plot.x, bottom + 29});
  return canvas;
}

}  // namespace support
