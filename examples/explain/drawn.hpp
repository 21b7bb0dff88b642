#pragma once

#include <sightglass/opencv.hpp>

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "answers.hpp"

namespace support {

/// A copy of three channels.
inline cv::Mat in_colour(const cv::Mat& photo) {
  cv::Mat copy = photo.clone();
  if (photo.channels() == 1) cv::cvtColor(photo, copy, cv::COLOR_GRAY2BGR);
  return copy;
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

/// A region of the model's output over the picture: tinted, with its outline.
/// @param mask bool `[h, w]`
inline cv::Mat region_over(const Picture& picture, const torch::Tensor& mask) {
  const cv::Rect& shown = picture.place().on_photo;
  const torch::Tensor seen = on_picture(mask.to(torch::kFloat), picture.place());
  const torch::Tensor inside =
      at::upsample_bilinear2d(seen.unsqueeze(0).unsqueeze(0), {shown.height, shown.width}, false)
          .gt(0.5)
          .mul(255)
          .to(torch::kByte)
          .contiguous();
  const cv::Mat region(shown.height, shown.width, CV_8UC1, inside.data_ptr());
  const cv::Scalar colour(0, 200, 255);
  cv::Mat drawn = in_colour(picture.photo()), part = drawn(shown), tinted;
  cv::addWeighted(part, 0.45, cv::Mat(part.size(), part.type(), colour), 0.55, 0, tinted);
  tinted.copyTo(part, region);
  cv::Mat inner;
  cv::erode(region, inner, cv::Mat());
  part.setTo(cv::Scalar::all(255), region & ~inner);
  return drawn;
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
