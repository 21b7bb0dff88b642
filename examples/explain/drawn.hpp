#pragma once

#include <sightglass/opencv.hpp>

#include <torch/types.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "series.hpp"
#include "volume.hpp"
#include "support/outline.hpp"
#include "support/rectangle.hpp"

namespace support {

/// A copy of three channels.
inline cv::Mat in_colour(const cv::Mat& photo) {
  cv::Mat copy = photo.clone();
  if (photo.channels() == 1) cv::cvtColor(photo, copy, cv::COLOR_GRAY2BGR);
  return copy;
}

/// A map enlarged to the places of what it explains.
/// @param map `[*S]`
inline torch::Tensor enlarged(const torch::Tensor& map, const torch::Tensor& values) {
  const torch::Tensor plane = map.unsqueeze(0).unsqueeze(0);
  const at::IntArrayRef size = values.sizes().slice(1);
  return (map.dim() == 1 ? at::upsample_linear1d(plane, size, false)
                         : at::upsample_trilinear3d(plane, size, false))[0][0];
}

/// Where a map is highest: x, y and z as far as there are such dimensions, in elements of the array or pixels of the
/// picture.
inline std::vector<int64_t> peak_of(const Picture& picture, const torch::Tensor& map) {
  if (map.dim() == 2) {
    const auto [x, y] = peak_on_picture(map, picture.place());
    return {x, y};
  }
  const torch::Tensor whole = enlarged(map, picture.values());
  int64_t index = at::nan_to_num(whole, -INFINITY).argmax().item<int64_t>();
  std::vector<int64_t> peak;
  for (int64_t d = whole.dim() - 1; d >= 0; --d) {
    peak.push_back(index % whole.size(d));
    index /= whole.size(d);
  }
  return peak;
}

/// A map over the picture that it explains; a crop's margins are left as they are.
/// @param map `[h, w]`
inline cv::Mat drawn_over(const Picture& picture, const torch::Tensor& map, const sightglass::OverlayOptions& style) {
  const torch::Tensor seen = on_picture(map.nan_to_num(0, 0, 0), picture.place());
  const cv::Rect& shown = picture.place().on_photo;
  cv::Mat drawn = in_colour(picture.photo());
  sightglass::overlay(picture.photo()(shown), seen, style).copyTo(drawn(shown));
  return drawn;
}

/// A map over what it explains: a picture, a series or a volume.
inline cv::Mat map_over(const Picture& picture, const torch::Tensor& map, const sightglass::OverlayOptions& style) {
  if (map.dim() == 2) return drawn_over(picture, map, style);
  const torch::Tensor whole = enlarged(map.nan_to_num(0, 0, 0), picture.values());
  return map.dim() == 1 ? series_over(picture.values(), whole, style)
                        : volume_over(picture.values(), whole, peak_of(picture, map), style);
}

/// A region of the model's output over the picture: tinted, with its outline; over a volume as a map is.
/// @param mask bool `[H, W]` or `[D, H, W]`
/// @param peak where a volume is cut
inline cv::Mat region_over(const Picture& picture, const torch::Tensor& mask, const std::vector<int64_t>& peak,
                           const sightglass::OverlayOptions& style) {
  if (mask.dim() == 3)
    return volume_over(picture.values(), enlarged(mask.to(torch::kFloat), picture.values()), peak, style);
  const cv::Rect& shown = picture.place().on_photo;
  const torch::Tensor seen = in_pixels(mask.to(torch::kFloat), picture.place());
  const torch::Tensor inside = seen.gt(0.5).mul(255).to(torch::kByte).contiguous();
  const cv::Mat region(shown.height, shown.width, CV_8UC1, inside.data_ptr());
  const cv::Scalar colour(0, 200, 255);
  cv::Mat drawn = in_colour(picture.photo()), part = drawn(shown), tinted;
  cv::addWeighted(part, 0.45, cv::Mat(part.size(), part.type(), colour), 0.55, 0, tinted);
  tinted.copyTo(part, region);
  draw_outline(part, region);
  return drawn;
}

/// A box of a detector, from pixels of the model's input to those of the picture, and no further.
inline std::vector<double> box_on_picture(const std::array<double, 4>& box, const Placement& place) {
  const auto moved = [](double at, int from, int length, int to, int size) {
    return std::clamp(to + (at - from) * size / length, static_cast<double>(to), static_cast<double>(to) + size);
  };
  const auto across = [&](double x) {
    return moved(x, place.in_input.x, place.in_input.width, place.on_photo.x, place.on_photo.width);
  };
  const auto down = [&](double y) {
    return moved(y, place.in_input.y, place.in_input.height, place.on_photo.y, place.on_photo.height);
  };
  return {across(box[0]), down(box[1]), across(box[2]), down(box[3])};
}

inline cv::Rect as_rectangle(const std::vector<double>& box) {
  return {cv::Point(cvRound(box[0]), cvRound(box[1])), cv::Point(cvRound(box[2]), cvRound(box[3]))};
}

/// Which share of a map's positive part lies in a box of the picture, and which share of the picture the box is.
inline std::pair<double, double> share_in(const torch::Tensor& map, const std::vector<double>& box,
                                          const Picture& picture) {
  const cv::Rect& shown = picture.place().on_photo;
  const torch::Tensor seen = in_pixels(map.nan_to_num(0, 0, 0), picture.place());
  const cv::Rect inside = (as_rectangle(box) - shown.tl()) & cv::Rect({0, 0}, shown.size());
  return {sightglass::energy_in(seen, as_box(inside)), static_cast<double>(inside.area()) / shown.area()};
}

/// White within black, so that it is seen on any picture.
inline void draw_box(cv::Mat& drawn, const std::vector<double>& box) {
  const int width = std::max(1, std::max(drawn.cols, drawn.rows) / 300);
  cv::rectangle(drawn, as_rectangle(box), cv::Scalar::all(0), 3 * width);
  cv::rectangle(drawn, as_rectangle(box), cv::Scalar::all(255), width);
}

/// Pictures of series and volumes, one below the other.
inline cv::Mat stacked(const std::vector<sightglass::Tile>& tiles) {
  return sightglass::grid(tiles, sightglass::GridOptions().columns(1));
}

/// Tiles in rows of `columns`, the picture itself left of the first.
inline cv::Mat grid_beside(const cv::Mat& photo, const std::vector<sightglass::Tile>& tiles, size_t columns) {
  std::vector<sightglass::Tile> all;
  for (size_t i = 0; i < tiles.size(); ++i) {
    if (i == 0) all.push_back({photo, "the picture"});
    if (i > 0 && i % columns == 0) all.emplace_back();
    all.push_back(tiles[i]);
  }
  // Of a tile, in pixels: room for its text, and no more than one looks at.
  const int longer = std::max(photo.cols, photo.rows), shown = std::clamp(longer, 320, 640);
  const double scale = static_cast<double>(shown) / longer;
  const cv::Size cell(std::max(1, cvRound(photo.cols * scale)), std::max(1, cvRound(photo.rows * scale)));
  return sightglass::grid(all, sightglass::GridOptions().columns(static_cast<int>(columns) + 1).cell(cell));
}

}  // namespace support
