#include "sightglass/opencv/colour_map.hpp"

#include <string>

#include "support/harness/catch.hpp"

using sightglass::ColourMap;

namespace {

cv::Vec3b colour(ColourMap map, int level) {
  return sightglass::colourise(cv::Mat(1, 1, CV_8UC1, cv::Scalar(level)), map).at<cv::Vec3b>(0, 0);
}

}  // namespace

TEST_CASE("each colour map is found by the name it has") {
  const std::vector<std::string> names = sightglass::colour_map_names();
  CHECK(names.front() == "magma");
  CHECK(names.size() == 10);
  for (const std::string& name : names) CHECK(sightglass::to_string(sightglass::colour_map(name)) == name);
  CHECK(sightglass::colour_map("turbo") == ColourMap::turbo);
  CHECK(sightglass::colour_map("gray") == ColourMap::grey);
}

TEST_CASE("an unknown colour map is an error that lists the known") {
  const auto find = [](const std::string& name) { return sightglass::colour_map(name); };
  CHECK_THROWS_WITH(find("mamga"), ContainsSubstring("colour map \"mamga\": no such map"));
  CHECK_THROWS_WITH(find("mamga"),
                    ContainsSubstring("expected one of magma, inferno,") && ContainsSubstring("blue-red"));
}

TEST_CASE("the colour maps are those of their names") {
  // Published end points as BGR: viridis #440154 to #fde725, magma #000004 to #fcfdbf; 1 for rounding.
  CHECK(cv::norm(colour(ColourMap::viridis, 0), cv::Vec3b(0x54, 0x01, 0x44), cv::NORM_INF) <= 1);
  CHECK(cv::norm(colour(ColourMap::viridis, 255), cv::Vec3b(0x25, 0xE7, 0xFD), cv::NORM_INF) <= 1);
  CHECK(cv::norm(colour(ColourMap::magma, 0), cv::Vec3b(0x04, 0x00, 0x00), cv::NORM_INF) <= 1);
  CHECK(cv::norm(colour(ColourMap::magma, 255), cv::Vec3b(0xBF, 0xFD, 0xFC), cv::NORM_INF) <= 1);
  CHECK(colour(ColourMap::grey, 77) == cv::Vec3b(77, 77, 77));
}

TEST_CASE("blue-red goes through ColorBrewer's colours, near white in the middle") {
  CHECK(colour(ColourMap::blue_red, 0) == cv::Vec3b(97, 48, 5));
  CHECK(colour(ColourMap::blue_red, 51) == cv::Vec3b(195, 147, 67));    // two tenths: the third of eleven
  CHECK(colour(ColourMap::blue_red, 153) == cv::Vec3b(199, 219, 253));  // six tenths: the seventh
  CHECK(colour(ColourMap::blue_red, 255) == cv::Vec3b(31, 0, 103));
  CHECK(cv::norm(colour(ColourMap::blue_red, 128), cv::Vec3b(247, 247, 247), cv::NORM_INF) <= 1);
}

TEST_CASE("floating-point values are 0 to 1 and clamped") {
  const cv::Mat values = (cv::Mat_<float>(1, 4) << -0.5F, 0.2F, 1.F, 7.F);
  const cv::Mat colours = sightglass::colourise(values, ColourMap::grey);
  CHECK(colours.at<cv::Vec3b>(0, 0)[0] == 0);
  CHECK(colours.at<cv::Vec3b>(0, 1)[0] == 51);
  CHECK(colours.at<cv::Vec3b>(0, 2)[0] == 255);
  CHECK(colours.at<cv::Vec3b>(0, 3)[0] == 255);
}

TEST_CASE("values of another type are an error that names it") {
  const auto colours = [](const cv::Mat& values) { return sightglass::colourise(values); };
  CHECK_THROWS_WITH(colours(cv::Mat(1, 1, CV_8UC3)), ContainsSubstring("are of type CV_8UC3"));
  CHECK_THROWS_WITH(colours(cv::Mat()), ContainsSubstring("are empty"));
}
