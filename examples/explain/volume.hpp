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

/// Values as `[..., 0 to 1]` by their own range, which is told.
struct Scaled {
  torch::Tensor unit;
  double low, high;

  explicit Scaled(const torch::Tensor& given) {
    const torch::Tensor values = given.to(torch::kDouble).nan_to_num(0, 0, 0);
    low = values.min().item<double>();
    high = values.max().item<double>();
    unit = (values - low) / (high > low ? high - low : 1);
  }
};

/// Colours of a plane of a map over a plane of what it explains.
/// @param plane 0 to 1: `[h, w]`, or `[3, h, w]`, RGB
/// @param map 0 to 1: `[h, w]`
inline cv::Mat blended(const torch::Tensor& plane, const torch::Tensor& map, const sightglass::OverlayOptions& style) {
  const torch::Tensor colour = plane.dim() == 2 ? plane.expand({3, plane.size(0), plane.size(1)}) : plane;
  const cv::Mat photo = sightglass::to_image(colour, sightglass::Preprocessing());
  const torch::Tensor values = map.to(torch::kFloat).contiguous();
  const cv::Mat unit(static_cast<int>(map.size(0)), static_cast<int>(map.size(1)), CV_32FC1, values.data_ptr());
  cv::Mat both;
  cv::addWeighted(sightglass::colourise(unit, style.colour_map()), style.alpha(), photo, 1 - style.alpha(), 0, both);
  return both;
}

inline std::string place_of(const char* what, int64_t index, int64_t count) {
  return std::string(what) + " " + std::to_string(index) + " of 0 to " + std::to_string(count - 1);
}

/// Eight frames at most, evenly, that of the peak among them.
inline std::vector<int64_t> frames_to_show(int64_t count, int64_t peak) {
  const int64_t shown = std::min<int64_t>(8, count);
  std::vector<int64_t> frames;
  for (int64_t i = 0; i < shown; ++i)
    frames.push_back(shown == 1 ? 0 : (i * (count - 1) + (shown - 1) / 2) / (shown - 1));
  const auto nearer = [&](int64_t a, int64_t b) { return std::abs(a - peak) < std::abs(b - peak); };
  *std::min_element(frames.begin(), frames.end(), nearer) = peak;
  return frames;
}

}  // namespace detail

/// A volume by its slices through the map's peak and its projection along D (of each column the greatest value); a
/// video of three channels by frames. The colours are the same in all, and a bar tells them.
/// @param values `[C, D, H, W]`
/// @param map `[D, H, W]`
/// @param peak x, y and z
inline cv::Mat volume_over(const torch::Tensor& values, const torch::Tensor& map, const std::vector<int64_t>& peak,
                           const sightglass::OverlayOptions& style) {
  const int64_t x = peak[0], y = peak[1], z = peak[2];
  const bool video = values.size(0) == 3;
  const torch::Tensor base = detail::Scaled(video ? values : values[0]).unit;
  const detail::Scaled scaled(map);
  const torch::Tensor& unit = scaled.unit;
  std::vector<sightglass::Tile> tiles;
  if (video) {
    for (const int64_t t : detail::frames_to_show(map.size(0), z))
      tiles.push_back({detail::blended(base.select(1, t), unit[t], style),
                       detail::place_of("frame", t, map.size(0)) + (t == z ? ", highest" : "")});
  } else {
    tiles.push_back({detail::blended(base[z], unit[z], style), detail::place_of("D", z, map.size(0))});
    tiles.push_back(
        {detail::blended(base.select(1, y), unit.select(1, y), style), detail::place_of("H", y, map.size(1))});
    tiles.push_back(
        {detail::blended(base.select(2, x), unit.select(2, x), style), detail::place_of("W", x, map.size(2))});
    tiles.push_back({detail::blended(base.amax(0), unit.amax(0), style), "projection along D"});
  }
  const int side = 240, columns = std::min<int>(4, static_cast<int>(tiles.size()));
  const cv::Mat planes = sightglass::grid(tiles, sightglass::GridOptions().columns(columns).cell({side, side}));
  const cv::Mat bar =
      sightglass::colour_bar(style.colour_map(), std::min(side, planes.rows - 20), scaled.low, scaled.high);
  cv::Mat canvas(planes.rows, planes.cols + bar.cols, CV_8UC3, cv::Scalar::all(255));
  planes.copyTo(canvas(cv::Rect(0, 0, planes.cols, planes.rows)));
  bar.copyTo(canvas(cv::Rect(planes.cols, 10, bar.cols, bar.rows)));
  return canvas;
}

}  // namespace support
