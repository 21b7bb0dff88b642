#include "sightglass/opencv/detail/depth_legend.hpp"

#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::depth_colour;
using sightglass::detail::draw_depth_legend;
using sightglass::detail::named_depths;

TEST_CASE("a bar of layers names the first, the last, and some between at equal distances") {
  CHECK(named_depths(52, 80) == std::vector<size_t>{0, 26, 51});  // 25.5 is rounded up
  CHECK(named_depths(101, 160) == std::vector<size_t>{0, 25, 50, 75, 100});
  CHECK(named_depths(52, 10) == std::vector<size_t>{0, 51});
  CHECK(named_depths(2, 400) == std::vector<size_t>{0, 1});
  CHECK(named_depths(1, 400) == std::vector<size_t>{0});
  CHECK(named_depths(0, 400).empty());
}

TEST_CASE("a bar of layers has each layer's colour, the first above") {
  const std::vector<std::string> names(52, "layer");
  cv::Mat canvas(12 + 520, 120, CV_8UC3, cv::Scalar::all(255));
  draw_depth_legend(canvas, {10, 0, 100, canvas.rows}, names);
  for (const int layer : {0, 1, 25, 50, 51}) {  // ten rows each, six above the first
    const cv::Scalar expected = depth_colour(static_cast<size_t>(layer), 52);
    const cv::Vec3b found = canvas.at<cv::Vec3b>(6 + 10 * layer + 5, 12);
    for (int c = 0; c < 3; ++c) CHECK(std::abs(found[c] - expected[c]) <= 1);
  }
  const cv::Mat white(canvas.rows, 10, CV_8UC3, cv::Scalar::all(255));
  CHECK(cv::norm(canvas.colRange(0, 10), white, cv::NORM_INF) == 0);
  CHECK(cv::norm(canvas.colRange(110, 120), white, cv::NORM_INF) == 0);
}

TEST_CASE("more layers than rows, and a box without room, are no errors") {
  cv::Mat canvas(60, 120, CV_8UC3, cv::Scalar::all(255));
  CHECK_NOTHROW(draw_depth_legend(canvas, {0, 0, 120, 60}, std::vector<std::string>(500, "layer")));
  CHECK_NOTHROW(draw_depth_legend(canvas, {0, 0, 20, 60}, {"layer"}));
  CHECK_NOTHROW(draw_depth_legend(canvas, {0, 0, 120, 20}, {"layer"}));
}
