#pragma once

#include <sightglass/opencv.hpp>

#include <torch/types.h>

#include <algorithm>
#include <vector>

#include "answers.hpp"

namespace support {

/// A map over the picture that it explains; a crop's margins are left as they are.
/// @param map `[h, w]`
inline cv::Mat drawn_over(const Picture& picture, const torch::Tensor& map, const sightglass::OverlayOptions& style) {
  const torch::Tensor seen = on_picture(map.nan_to_num(0, 0, 0), picture.place());
  const cv::Rect& shown = picture.place().on_photo;
  cv::Mat drawn;
  cv::cvtColor(picture.photo(), drawn, picture.photo().channels() == 1 ? cv::COLOR_GRAY2BGR : cv::COLOR_BGRA2BGR);
  sightglass::overlay(picture.photo()(shown), seen, style).copyTo(drawn(shown));
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
