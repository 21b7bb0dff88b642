#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace support {

/// A white line along the inner edge of a region.
/// @param region `CV_8UC1`, not 0 inside
inline void draw_outline(cv::Mat& drawn, const cv::Mat& region) {
  cv::Mat inner;
  cv::erode(region, inner, cv::Mat());
  drawn.setTo(cv::Scalar::all(255), region & ~inner);
}

}  // namespace support
