#include "sightglass/opencv/colour_bar.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::colour_bar;
using sightglass::ColourMap;
using sightglass::detail::ticks;

TEST_CASE("a colour bar runs from the lowest colour below to the highest above") {
  const cv::Mat bar = colour_bar(ColourMap::viridis, 120, 0, 1);
  CHECK(bar.type() == CV_8UC3);
  CHECK(bar.rows == 120);
  CHECK(bar.at<cv::Vec3b>(0, 0) == cv::Vec3b(255, 255, 255));
  CHECK(cv::norm(bar.at<cv::Vec3b>(10, 15), cv::Vec3b(0x25, 0xE7, 0xFD), cv::NORM_INF) <= 4);
  CHECK(cv::norm(bar.at<cv::Vec3b>(109, 15), cv::Vec3b(0x54, 0x01, 0x44), cv::NORM_INF) <= 4);
}

TEST_CASE("wider labels make a wider bar") {
  CHECK(colour_bar(ColourMap::magma, 120, 0, 0.001).cols > colour_bar(ColourMap::magma, 120, 0, 9).cols);
}

TEST_CASE("a constant map has a bar with one tick") {
  CHECK(ticks(5, 5, 5) == std::vector<double>{5});
  CHECK_NOTHROW(colour_bar(ColourMap::magma, 100, 5, 5));
  CHECK_NOTHROW(colour_bar(ColourMap::magma, 100, 0, 0));
}

TEST_CASE("a bar that cannot be drawn is an error") {
  const auto draw = [](int height, double low, double high) { return colour_bar(ColourMap::magma, height, low, high); };
  CHECK_THROWS_WITH(draw(10, 0, 1), ContainsSubstring("height: is 10 pixels"));
  CHECK_THROWS_WITH(draw(100, 2, 1), ContainsSubstring("goes from 2 to 1"));
  CHECK_THROWS_WITH(draw(100, 0, std::numeric_limits<double>::infinity()), ContainsSubstring("expected finite values"));
  CHECK_THROWS_WITH(draw(100, std::nan(""), 1), ContainsSubstring("expected finite values"));
}
