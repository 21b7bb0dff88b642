#include "explain/drawn.hpp"

#include "support/harness/catch.hpp"

using namespace support;

namespace {

Input holding(const torch::Tensor& batch) { return {"a.npy", batch, {}, {}}; }

}  // namespace

TEST_CASE("the peak of a series or volume is in elements of the array", "[drawn]") {
  const Input series = holding(torch::zeros({1, 2, 40}));
  torch::Tensor line = torch::zeros({10});
  line[3] = 1;  // elements 12 to 15 of 40
  const std::vector<int64_t> place = peak_of({series, 0, 0, 1}, line);
  REQUIRE(place.size() == 1);
  CHECK(place[0] >= 12);
  CHECK(place[0] <= 15);

  const Input volume = holding(torch::zeros({1, 1, 4, 6, 8}));
  torch::Tensor block = torch::zeros({4, 6, 8});
  block[1][2][3] = 1;
  CHECK(peak_of({volume, 0, 0, 1}, block) == std::vector<int64_t>{3, 2, 1});
  block[3][5][7] = NAN;
  CHECK(peak_of({volume, 0, 0, 1}, block) == std::vector<int64_t>{3, 2, 1});
}

TEST_CASE("of a video eight frames are shown, first, last and that of the peak", "[drawn]") {
  CHECK(support::detail::frames_to_show(3, 1) == std::vector<int64_t>{0, 1, 2});
  CHECK(support::detail::frames_to_show(1, 0) == std::vector<int64_t>{0});
  CHECK(support::detail::frames_to_show(15, 0) == std::vector<int64_t>{0, 2, 4, 6, 8, 10, 12, 14});
  CHECK(support::detail::frames_to_show(15, 5) == std::vector<int64_t>{0, 2, 5, 6, 8, 10, 12, 14});
}

TEST_CASE("ticks stand at round numbers, eight steps at most", "[drawn]") {
  CHECK(support::detail::tick_distance(5) == 1);
  CHECK(support::detail::tick_distance(16) == 2);
  CHECK(support::detail::tick_distance(500) == 100);
  CHECK(support::detail::tick_distance(1000) == 200);
}

TEST_CASE("a series shows its map as colours under its curves", "[drawn]") {
  const auto style = sightglass::OverlayOptions().alpha(1).colour_map(sightglass::ColourMap::grey);
  torch::Tensor map = torch::zeros({100});
  map.slice(0, 50, 100).fill_(1);
  const cv::Mat drawn = series_over(torch::zeros({1, 100}), map, style);
  // The panel is 800 pixels wide from x 86 on, 240 high from y 12 on; its curve lies along the bottom.
  CHECK(drawn.at<cv::Vec3b>(30, 86 + 100) == cv::Vec3b::all(0));
  CHECK(drawn.at<cv::Vec3b>(30, 86 + 700) == cv::Vec3b::all(255));
  CHECK(drawn.at<cv::Vec3b>(12 + 240 + 10, 86 + 100) == cv::Vec3b::all(0));  // the strip
  CHECK(drawn.at<cv::Vec3b>(12 + 240 + 10, 86 + 700) == cv::Vec3b::all(255));
  CHECK_NOTHROW(series_over(torch::full({20, 3}, NAN), torch::zeros({3}), style));
}

TEST_CASE("a volume shows the slices of the peak in one scale", "[drawn]") {
  const auto style = sightglass::OverlayOptions().alpha(1).colour_map(sightglass::ColourMap::grey);
  torch::Tensor map = torch::zeros({4, 6, 6});
  map[2].fill_(0.5);
  map[2][3][1] = 1;
  const cv::Mat drawn = volume_over(torch::zeros({1, 4, 6, 6}), map, {1, 3, 2}, style);
  // The first tile, a slice of 6 x 6 on 240 pixels, begins at 12, 12.
  CHECK(std::abs(drawn.at<cv::Vec3b>(12 + 20, 12 + 220)[0] - 127) <= 1);
  CHECK(drawn.at<cv::Vec3b>(12 + 140, 12 + 60)[0] >= 250);
  CHECK_NOTHROW(volume_over(torch::zeros({3, 2, 6, 6}), torch::zeros({2, 6, 6}), {0, 0, 0}, style));
}

TEST_CASE("a crop's map leaves the margins of the picture as they are", "[drawn]") {
  Preparation wanted(4);
  wanted.fit = Fit::crop;
  const cv::Mat photo(8, 16, CV_8UC3, cv::Scalar::all(77));
  const Input input{"a.png", torch::zeros({1, 3, 4, 4}), {photo}, {placement_of(photo.size(), wanted)}};
  const auto style = sightglass::OverlayOptions().alpha(1).colour_map(sightglass::ColourMap::grey);
  const cv::Mat drawn = drawn_over({input, 0, 0, 1}, torch::tensor({{0.f, 1.f}, {0.f, 1.f}}), style);
  CHECK(drawn.at<cv::Vec3b>(4, 3) == cv::Vec3b::all(77));
  CHECK(drawn.at<cv::Vec3b>(4, 4) == cv::Vec3b::all(0));
  CHECK(drawn.at<cv::Vec3b>(4, 11) == cv::Vec3b::all(255));
  CHECK(drawn.at<cv::Vec3b>(4, 12) == cv::Vec3b::all(77));
  const cv::Mat region = region_over({input, 0, 0, 1}, torch::ones({4, 4}).to(torch::kBool), {}, style);
  CHECK(region.at<cv::Vec3b>(4, 3) == cv::Vec3b::all(77));
  CHECK(region.at<cv::Vec3b>(4, 8) != cv::Vec3b::all(77));
}
