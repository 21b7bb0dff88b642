#include "sightglass/opencv/detail/text.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::detail::elide;
using sightglass::detail::fitting_height;
using sightglass::detail::printable;
using sightglass::detail::Text;

TEST_CASE("what the fonts cannot draw becomes one question mark a character") {
  CHECK(printable("Grad-CAM 0.9 ~") == "Grad-CAM 0.9 ~");
  CHECK(printable("\xC3\x89tagne \xE2\x86\x92 \xF0\x9F\x90\x88") == "?tagne ? ?");
  CHECK(printable("a\tb\nc\x01") == "a b c?");
}

TEST_CASE("a text that fits is left as it is") {
  CHECK(fitting_height("cat", 200, 10) == 10);
  CHECK(elide("cat", 200, 10).text == "cat");
}

TEST_CASE("a text that is a little too wide is made smaller") {
  const double width = 0.9 * Text{"Persian cat", 10}.width();
  CHECK(fitting_height("Persian cat", width, 10) == Approx(9));
  CHECK(elide("Persian cat", width, 9).text == "Persian cat");
}

TEST_CASE("a text that is much too wide is cut and says so") {
  const std::string label = "a very long label that fits nowhere";
  CHECK(fitting_height(label, 60, 10) == Approx(8));
  const Text text = elide(label, 60, 8);
  CHECK(text.width() <= 60.5);
  CHECK(text.width() > 45);  // no more than needed
  CHECK(text.text.substr(0, 6) == "a very");
  CHECK(text.text.substr(text.text.size() - 3) == "...");
}

TEST_CASE("ink stands on the baseline, in its colour, within the text's width") {
  cv::Mat canvas(40, 120, CV_8UC3, cv::Scalar(255, 255, 255));
  const Text text{"HEN", 12};
  sightglass::detail::draw(canvas, text, {20, 30}, cv::Scalar(0, 0, 255));
  CHECK(cv::norm(canvas.colRange(0, 18), cv::Mat(40, 18, CV_8UC3, cv::Scalar(255, 255, 255)), cv::NORM_INF) == 0);
  cv::Mat ink;
  cv::extractChannel(255 - canvas, ink, 0);  // red keeps no blue
  const cv::Rect box = cv::boundingRect(ink > 64);
  CHECK(std::abs(box.y + box.height - 30) <= 1);
  CHECK(std::abs(box.height - 12) <= 2);
  CHECK(box.x >= 19);
  CHECK(box.x + box.width <= 20 + text.width() + 1);
  cv::extractChannel(canvas, ink, 2);
  CHECK(cv::countNonZero(ink != 255) == 0);
}

TEST_CASE("a text that leaves the canvas is cut at its edge") {
  cv::Mat canvas(10, 10, CV_8UC3, cv::Scalar(255, 255, 255));
  CHECK_NOTHROW(sightglass::detail::draw(canvas, {"outside", 12}, {-5, 3}, cv::Scalar()));
  CHECK_NOTHROW(sightglass::detail::draw(canvas, {"outside", 12}, {50, 50}, cv::Scalar()));
}

TEST_CASE("a text is broken between words, and a word that is too long is cut") {
  using sightglass::detail::wrap;
  CHECK(wrap("", 100, 10).empty());
  CHECK(wrap("  two   words ", 1000, 10) == std::vector<std::string>{"two words"});
  const double width = Text{"of lines", 10}.width() + 1;
  CHECK(wrap("a set of lines", width, 10) == std::vector<std::string>{"a set", "of lines"});
  const std::vector<std::string> cut = wrap("a incomprehensibilities b", width, 10);
  REQUIRE(cut.size() == 3);
  CHECK(cut[0] == "a");
  CHECK_THAT(cut[1], ContainsSubstring("..."));
  CHECK(cut[2] == "b");
}
