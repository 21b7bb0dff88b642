#include "sightglass/opencv/overlay.hpp"

#include <torch/nn/functional/upsampling.h>

#include <limits>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"

using sightglass::ColourMap;
using sightglass::overlay;
using sightglass::OverlayOptions;

namespace {

const OverlayOptions grey = OverlayOptions().colour_map(ColourMap::grey);

cv::Mat plain_photo(int height, int width) { return cv::Mat(height, width, CV_8UC3, cv::Scalar(100, 150, 200)); }

bool equal(const cv::Mat& a, const cv::Mat& b) {
  return a.size() == b.size() && a.type() == b.type() && cv::norm(a, b, cv::NORM_INF) == 0;
}

}  // namespace

TEST_CASE("an overlay is 0.6 of the map's colours and 0.4 of the photo") {
  const cv::Mat blended = overlay(plain_photo(1, 2), torch::tensor({{-3.F, 5.F}}), grey);
  CHECK(blended.at<cv::Vec3b>(0, 0) == cv::Vec3b(40, 60, 80));     // black at the map's least
  CHECK(blended.at<cv::Vec3b>(0, 1) == cv::Vec3b(193, 213, 233));  // white at its greatest: 153 more
}

TEST_CASE("alpha is the map's weight") {
  const cv::Mat photo = plain_photo(3, 2);
  const torch::Tensor map = torch::rand({2, 2});
  CHECK(equal(overlay(photo, map, OverlayOptions().alpha(0)), photo));
  const cv::Mat ends = overlay(photo, torch::tensor({{0.F}, {0.5F}, {1.F}}).expand({3, 2}), OverlayOptions().alpha(1));
  CHECK(ends.at<cv::Vec3b>(0, 0) ==
        sightglass::colourise(cv::Mat_<float>(1, 1, 0.F), ColourMap::magma).at<cv::Vec3b>(0, 0));
  CHECK(ends.at<cv::Vec3b>(2, 1) ==
        sightglass::colourise(cv::Mat_<float>(1, 1, 1.F), ColourMap::magma).at<cv::Vec3b>(0, 0));
}

TEST_CASE("a map is enlarged as interpolate does, bilinear without aligned corners") {
  torch::manual_seed(3);
  for (const std::vector<int>& size : {std::vector<int>{224, 224}, {7, 7}, {50, 31}, {15, 400}}) {
    const torch::Tensor map = torch::rand({7, 7});
    const torch::Tensor unit = (map - map.min()) / (map.max() - map.min());
    const auto options = torch::nn::functional::InterpolateFuncOptions()
                             .size(std::vector<int64_t>{size[0], size[1]})
                             .mode(torch::kBilinear)
                             .align_corners(false);
    const torch::Tensor expected = torch::nn::functional::interpolate(unit.view({1, 1, 7, 7}), options)[0][0] * 255;
    const cv::Mat drawn = overlay(plain_photo(size[0], size[1]), map, OverlayOptions(grey).alpha(1));
    cv::Mat levels;
    cv::extractChannel(drawn, levels, 0);
    const torch::Tensor got = torch::from_blob(levels.data, {size[0], size[1]}, torch::kByte).to(torch::kFloat);
    CHECK((got - expected).abs().max().item<double>() <= 0.51);  // half a level of rounding
  }
}

TEST_CASE("the picture does not depend on the map's scale, offset, type, layout or history") {
  torch::manual_seed(4);
  const cv::Mat photo = plain_photo(20, 30);
  const torch::Tensor map = torch::randint(0, 5, {4, 3}).to(torch::kFloat);  // exact in half and bfloat16
  const cv::Mat expected = overlay(photo, map);
  CHECK(equal(overlay(photo, map * 1024 - 2048), expected));
  CHECK(equal(overlay(photo, map.to(torch::kDouble) * 1e-200), expected));
  CHECK(equal(overlay(photo, map.to(torch::kHalf)), expected));
  CHECK(equal(overlay(photo, map.to(torch::kBFloat16)), expected));
  CHECK(equal(overlay(photo, map.t().contiguous().t()), expected));
  CHECK(equal(overlay(photo, map.clone().requires_grad_()), expected));
}

TEST_CASE("a constant map counts as zero everywhere") {
  for (const float value : {0.F, 3.F, -2.F})
    CHECK(equal(overlay(plain_photo(4, 4), torch::full({2, 2}, value), grey),
                cv::Mat(4, 4, CV_8UC3, cv::Scalar(40, 60, 80))));
}

TEST_CASE("a signed map is blue against, red for, and leaves the photo where it is zero") {
  const cv::Mat photo = plain_photo(1, 3);
  const cv::Mat blended = overlay(photo, torch::tensor({{-4.F, 0.F, 4.F}}), OverlayOptions().signed_map().alpha(0.5));
  CHECK(cv::norm(blended.at<cv::Vec3b>(0, 0), cv::Vec3b(99, 99, 103), cv::NORM_INF) <= 1);  // half of (97, 48, 5)
  CHECK(blended.at<cv::Vec3b>(0, 1) == cv::Vec3b(100, 150, 200));
  CHECK(cv::norm(blended.at<cv::Vec3b>(0, 2), cv::Vec3b(66, 75, 152), cv::NORM_INF) <= 1);  // half of (31, 0, 103)
  CHECK(equal(overlay(photo, torch::zeros({1, 3}), OverlayOptions().signed_map()), photo));
}

TEST_CASE("both signs of a signed map share one scale") {
  // -1 beside 4 lies three eighths up the colours, at level 96, and has half the weight of 4.
  const cv::Mat photo(1, 2, CV_8UC3, cv::Scalar(0, 0, 0));
  const cv::Mat blended = overlay(photo, torch::tensor({{-1.F, 4.F}}), OverlayOptions().signed_map().alpha(1));
  const cv::Vec3b blue =
      sightglass::colourise(cv::Mat(1, 1, CV_8UC1, cv::Scalar(96)), ColourMap::blue_red).at<cv::Vec3b>(0, 0);
  CHECK(cv::norm(blended.at<cv::Vec3b>(0, 0), blue / 2, cv::NORM_INF) <= 1);
}

TEST_CASE("a grey photo gets a coloured overlay, and the photo is left alone") {
  const cv::Mat photo(5, 5, CV_8UC1, cv::Scalar(90));
  const cv::Mat before = photo.clone();
  const torch::Tensor map = torch::rand({2, 2});
  CHECK(equal(overlay(photo, map), overlay(cv::Mat(5, 5, CV_8UC3, cv::Scalar(90, 90, 90)), map)));
  CHECK(equal(photo, before));
}

TEST_CASE("a map on the GPU is drawn") {
  NEEDS_GPU;
  const torch::Tensor map = torch::rand({3, 3});
  CHECK(equal(overlay(plain_photo(9, 9), map.to(torch::kCUDA)), overlay(plain_photo(9, 9), map)));
}

TEST_CASE("errors say what photo, map or alpha got") {
  const cv::Mat photo = plain_photo(4, 4);
  const auto draw = [](const cv::Mat& under, const torch::Tensor& map, double alpha = 0.6) {
    return overlay(under, map, OverlayOptions().alpha(alpha));
  };
  const torch::Tensor map = torch::rand({2, 2});
  CHECK_THROWS_WITH(draw(cv::Mat(), map), ContainsSubstring("photo: is empty"));
  CHECK_THROWS_WITH(draw(cv::Mat(4, 4, CV_16UC3), map), ContainsSubstring("photo: is of type CV_16UC3"));
  CHECK_THROWS_WITH(draw(photo, torch::rand({1, 2, 2})),
                    ContainsSubstring("map: has shape [1, 2, 2]; expected [h, w]"));
  CHECK_THROWS_WITH(draw(photo, torch::rand({0, 2})), ContainsSubstring("map: has shape [0, 2]"));
  CHECK_THROWS_WITH(draw(photo, torch::ones({2, 2}, torch::kLong)), ContainsSubstring("map: is Long"));
  CHECK_THROWS_WITH(draw(photo, torch::Tensor()), ContainsSubstring("map: is undefined"));
  CHECK_THROWS_WITH(draw(photo, map / 0), ContainsSubstring("map: holds NaN or infinity"));
  CHECK_THROWS_WITH(draw(photo, map * std::numeric_limits<float>::quiet_NaN()),
                    ContainsSubstring("map: holds NaN or infinity"));
  CHECK_THROWS_WITH(draw(photo, map, 1.5), ContainsSubstring("alpha: is 1.5"));
}
