#include "sightglass/opencv/chart.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::chart;
using sightglass::ChartOptions;
using sightglass::Legend;
using sightglass::Series;

namespace {

const cv::Scalar red(0, 0, 255), blue(255, 0, 0);

ChartOptions plain() { return ChartOptions().size({300, 200}).legend(Legend::none); }

/// The pixels that are more red than blue, or the other way round.
cv::Mat where(const cv::Mat& picture, const cv::Scalar& colour) {
  cv::Mat blues, reds, mask;
  cv::extractChannel(picture, blues, 0);
  cv::extractChannel(picture, reds, 2);
  cv::subtract(colour == red ? reds : blues, colour == red ? blues : reds, mask);
  return mask > 60;
}
cv::Rect around(const cv::Mat& picture, const cv::Scalar& colour) { return cv::boundingRect(where(picture, colour)); }

}  // namespace

TEST_CASE("a rising line goes from the lower left to the upper right") {
  const cv::Mat drawn = chart({{"", {0, 1}, {0, 1}, red}}, plain());
  CHECK(drawn.size() == cv::Size(300, 200));
  const cv::Mat mask = where(drawn, red);
  const cv::Rect box = cv::boundingRect(mask);
  CHECK(box.width > 200);
  CHECK(box.height > 120);
  const int w = box.width / 3, h = box.height / 3;
  CHECK(cv::countNonZero(mask(cv::Rect(box.x, box.br().y - h, w, h))) > 0);
  CHECK(cv::countNonZero(mask(cv::Rect(box.br().x - w, box.y, w, h))) > 0);
  CHECK(cv::countNonZero(mask(cv::Rect(box.x, box.y, w, h))) == 0);
}

TEST_CASE("a line has a gap where its value is not finite, and a lone point is a dot") {
  const double nan = NAN, inf = INFINITY;
  const std::vector<double> x{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  const cv::Mat drawn = chart({{"", x, {1, 1, 1, nan, inf, -inf, 1, 1, nan, nan, 1}, red}}, plain());
  const cv::Mat mask = where(drawn, red);
  const cv::Rect box = cv::boundingRect(mask);
  const auto inked = [&](double from, double to) {
    const int left = box.x + static_cast<int>(from / 10 * box.width),
              right = box.x + static_cast<int>(to / 10 * box.width);
    return cv::countNonZero(mask.colRange(left, right));
  };
  CHECK(inked(0.2, 1.8) > 0);
  CHECK(inked(2.4, 5.6) == 0);
  CHECK(inked(6.4, 6.8) > 0);
  CHECK(inked(7.4, 9.4) == 0);
  CHECK(inked(9.5, 10) > 0);
}

TEST_CASE("on a logarithmic axis powers of ten are equally far apart, and 0 is a gap") {
  const ChartOptions options = plain().y_scale(sightglass::Scale::logarithmic);
  const cv::Mat drawn = chart({{"", {0, 1, 2}, {1, 10, 100}, red}, {"", {0, 1}, {0, -1}, blue}}, options);
  const cv::Mat mask = where(drawn, red);
  const cv::Rect box = cv::boundingRect(mask);
  const cv::Rect middle = cv::boundingRect(mask.colRange(box.x + box.width / 2 - 1, box.x + box.width / 2 + 2));
  CHECK(std::abs(middle.y + middle.height / 2 - (box.y + box.height / 2)) <= 3);
  CHECK(around(drawn, blue).empty());
}

TEST_CASE("what lies outside of a given range is not drawn outside of the plot") {
  const cv::Mat drawn = chart({{"", {0, 1, 2}, {0.5, 1e30, 0.5}, red}}, plain().y_low(0).y_high(1));
  const cv::Rect box = around(drawn, red);
  CHECK(box.y >= 9);
  CHECK(box.br().y <= 180);
}

TEST_CASE("the legend names the lines beside the plot") {
  const std::vector<Series> lines{{"first", {0, 1}, {0, 1}, red}, {"second", {0, 1}, {1, 0}, blue}};
  const cv::Mat with = chart(lines, ChartOptions().size({400, 200})), without = chart(lines, plain().size({400, 200}));
  CHECK(around(with, red).br().x == around(with, blue).br().x);  // the swatches
  const cv::Mat beside = where(with, red).colRange(320, 400);
  CHECK(cv::countNonZero(beside) > 20);
  CHECK(around(without, red).br().x > 365);
  const cv::Mat unnamed = chart({{"", {0, 1}, {0, 1}, red}}, ChartOptions().size({400, 200}));
  CHECK(around(unnamed, red).br().x > 365);
}

TEST_CASE("fifty names fit a legend in columns") {
  std::vector<Series> lines;
  for (size_t i = 0; i < 50; ++i) lines.push_back({"layer" + std::to_string(i), {0, 1}, {0, 1}, cv::Scalar(255, 0, 0)});
  const cv::Mat drawn = chart(lines, ChartOptions().size({900, 260}));
  cv::Mat names, ids;
  const int found = cv::connectedComponents(where(drawn, blue).colRange(560, 900), ids) - 1;
  CHECK(found == 50);
}

TEST_CASE("colours of depth differ from one layer to the next") {
  for (const size_t count : {2, 10, 20}) {
    for (size_t i = 0; i + 1 < count; ++i) {
      CHECK(cv::norm(sightglass::depth_colour(i, count) - sightglass::depth_colour(i + 1, count)) > 10);
    }
  }
  CHECK(sightglass::depth_colour(0, 1)[0] > sightglass::depth_colour(0, 1)[2]);      // blue
  CHECK(sightglass::depth_colour(19, 20)[2] > sightglass::depth_colour(19, 20)[0]);  // red
}

TEST_CASE("no lines, empty lines and lines of nothing finite are charts too") {
  CHECK(chart({}, plain()).size() == cv::Size(300, 200));
  CHECK(chart({{"empty", {}, {}}}).cols == 720);
  CHECK(chart({{"nothing", {0, 1}, {NAN, INFINITY}}}).cols == 720);
}

TEST_CASE("a chart that cannot be drawn is an error that says what got") {
  CHECK_THROWS_WITH(chart({{"loss", {0, 1}, {0}}}), ContainsSubstring("series \"loss\": has 2 x and 1 y"));
  CHECK_THROWS_WITH(chart({}, ChartOptions().size({50, 50})), ContainsSubstring("size: got 50 x 50"));
}
