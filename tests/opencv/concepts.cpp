#include "sightglass/opencv/concepts.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::ConceptOptions;
using sightglass::draw_concepts;

namespace {

const cv::Mat photo(60, 120, CV_8UC3, cv::Scalar(100, 100, 100));

cv::Vec3b colour(size_t concept_number) {
  const cv::Scalar& one = sightglass::detail::concept_colours()[concept_number];
  return cv::Vec3b(cv::saturate_cast<uchar>(one[0]), cv::saturate_cast<uchar>(one[1]),
                   cv::saturate_cast<uchar>(one[2]));
}

}  // namespace

TEST_CASE("each pixel has the colour of its strongest concept, as much of it as the concept is strong") {
  // Left the first at strength 1, in the middle none, right the second at .5 and the first below it.
  const at::Tensor first = torch::tensor({1.f, 0.f, .25f}), second = torch::tensor({.5f, 0.f, .5f});
  const cv::Mat drawn = draw_concepts(photo, torch::stack({first, second}).view({2, 1, 3}), ConceptOptions().alpha(1));
  CHECK(drawn.at<cv::Vec3b>(30, 2) == colour(0));
  CHECK(drawn.at<cv::Vec3b>(30, 60)[0] <= 101);
  CHECK(drawn.at<cv::Vec3b>(30, 60)[2] <= 103);
  const cv::Vec3b half = drawn.at<cv::Vec3b>(30, 118);
  for (int channel = 0; channel < 3; ++channel) {
    CHECK(std::abs(half[channel] - (colour(1)[channel] + 100) / 2) <= 1);
  }
}

TEST_CASE("the photo is grey where there is no concept, and its height is followed by a line for each concept") {
  cv::Mat coloured(60, 120, CV_8UC3, cv::Scalar(0, 0, 200));
  const cv::Mat one = draw_concepts(coloured, torch::zeros({1, 2, 2}));
  const cv::Mat three = draw_concepts(coloured, torch::zeros({3, 2, 2}));
  const cv::Vec3b pixel = one.at<cv::Vec3b>(10, 10);
  CHECK(pixel[0] == pixel[1]);
  CHECK(pixel[1] == pixel[2]);
  CHECK(one.cols == 120);
  CHECK(one.rows > 60);
  CHECK(three.rows - one.rows > one.rows - 60 - 8);
  // A patch of each colour.
  for (size_t k = 0; k < 3; ++k) {
    cv::Mat found;
    const cv::Vec3b wanted = colour(k);
    cv::inRange(three.rowRange(60, three.rows), cv::Scalar(wanted), cv::Scalar(wanted), found);
    CHECK(cv::countNonZero(found) > 50);
  }
}

TEST_CASE("labels are written beside their colours") {
  const at::Tensor maps = torch::zeros({2, 2, 2});
  const cv::Mat numbered = draw_concepts(photo, maps);
  const cv::Mat same = draw_concepts(photo, maps, ConceptOptions().labels({"concept 1", "concept 2"}));
  const cv::Mat other = draw_concepts(photo, maps, ConceptOptions().labels({"concept 1", "cat"}));
  CHECK(cv::norm(numbered, same, cv::NORM_INF) == 0);
  CHECK(cv::norm(numbered, other, cv::NORM_INF) > 0);
  const std::string long_label(200, 'm');
  CHECK(draw_concepts(photo, maps, ConceptOptions().labels({long_label, long_label})).size() == numbered.size());
}

TEST_CASE("a picture of concepts says what it cannot draw") {
  const at::Tensor maps = torch::rand({2, 3, 3});
  CHECK_THROWS_WITH(draw_concepts(photo, maps[0]), ContainsSubstring("expected floating-point [K, h, w]"));
  CHECK_THROWS_WITH(draw_concepts(photo, torch::rand({11, 2, 2})), ContainsSubstring("got 11 concepts; at most 10"));
  CHECK_THROWS_WITH(draw_concepts(photo, maps * NAN), ContainsSubstring("NaN"));
  CHECK_THROWS_WITH(draw_concepts(photo, maps, ConceptOptions().labels({"one"})), ContainsSubstring("labels: are 1"));
  CHECK_THROWS_WITH(draw_concepts(photo, maps, ConceptOptions().alpha(2)), ContainsSubstring("alpha: is 2"));
  CHECK_THROWS_WITH(draw_concepts(cv::Mat(), maps), ContainsSubstring("photo"));
  CHECK(draw_concepts(cv::Mat(60, 120, CV_8UC1, cv::Scalar(9)), maps.to(torch::kDouble)).type() == CV_8UC3);
}
