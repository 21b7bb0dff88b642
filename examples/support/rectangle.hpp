#pragma once

#include <sightglass/metrics/pointing_game.hpp>

#include <opencv2/core/types.hpp>

namespace support {

/// OpenCV's rectangle as the library's metrics take boxes.
inline sightglass::Box as_box(const cv::Rect& rectangle) {
  return {rectangle.x, rectangle.y, rectangle.br().x, rectangle.br().y};
}

}  // namespace support
