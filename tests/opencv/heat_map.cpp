#include "sightglass/opencv/heat_map.hpp"

#include <cmath>

#include "support/harness/catch.hpp"

using sightglass::heat_map;
using sightglass::HeatMapOptions;

namespace {

HeatMapOptions plain() {
  return HeatMapOptions()
      .size({240, 160})
      .colour_bar(sightglass::ColourBar::none)
      .colour_map(sightglass::ColourMap::grey);
}

cv::Vec3b pixel(const cv::Mat& picture, double x, double y) {
  return picture.at<cv::Vec3b>(static_cast<int>(y * picture.rows), static_cast<int>(x * picture.cols));
}

}  // namespace

TEST_CASE("row 0 of a heat map is the lowest, column 0 the leftmost, and values become colours") {
  const cv::Mat drawn = heat_map(torch::tensor({{0., 1.}, {2., 4.}}), plain());
  CHECK(drawn.size() == cv::Size(240, 160));
  CHECK(pixel(drawn, 0.3, 0.7) == cv::Vec3b(0, 0, 0));
  CHECK(pixel(drawn, 0.8, 0.7) == cv::Vec3b(64, 64, 64));
  CHECK(pixel(drawn, 0.3, 0.2) == cv::Vec3b(128, 128, 128));
  CHECK(pixel(drawn, 0.8, 0.2) == cv::Vec3b(255, 255, 255));
}

TEST_CASE("what is not finite is grey and does not change the other colours") {
  const auto map = plain().colour_map(sightglass::ColourMap::magma);
  const cv::Mat drawn = heat_map(torch::tensor({{0.f, NAN}, {1.f, INFINITY}}), map);
  CHECK(pixel(drawn, 0.8, 0.7) == cv::Vec3b(200, 200, 200));
  CHECK(pixel(drawn, 0.8, 0.2) == cv::Vec3b(200, 200, 200));
  CHECK(pixel(drawn, 0.3, 0.2) == pixel(heat_map(torch::tensor({{0., 0.}, {1., 1.}}), map), 0.8, 0.2));
}

TEST_CASE("a constant table, one of nothing finite, and one of whole numbers are drawn") {
  CHECK(heat_map(torch::full({3, 4}, 7.), plain()).cols == 240);
  CHECK(heat_map(torch::full({3, 4}, NAN)).cols == 640);
  CHECK(heat_map(torch::arange(6).view({2, 3})).cols == 640);
  CHECK(heat_map(torch::rand({200, 5000})).cols == 640);
}

TEST_CASE("a colour bar takes room beside the map") {
  const auto values = torch::tensor({{0., 0.}, {1., 1.}});
  const cv::Mat with = heat_map(values, plain().colour_bar(sightglass::ColourBar::right));
  CHECK(pixel(with, 0.98, 0.5) == cv::Vec3b(255, 255, 255));
  CHECK(cv::norm(with, heat_map(values, plain())) > 0);
}

TEST_CASE("a heat map that cannot be drawn is an error that says what got") {
  CHECK_THROWS_WITH(heat_map(torch::zeros({3})), ContainsSubstring("values: have shape [3]; expected [rows, columns]"));
  CHECK_THROWS_WITH(heat_map(torch::Tensor()), ContainsSubstring("values: are undefined"));
  CHECK_THROWS_WITH(heat_map(torch::zeros({0, 3})), ContainsSubstring("values: have shape [0, 3]"));
  CHECK_THROWS_WITH(heat_map(torch::zeros({2, 3}), plain().size({10, 10})), ContainsSubstring("size: got 10 x 10"));
}
