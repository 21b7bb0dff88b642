#include "sightglass/opencv/preprocessing.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"

using sightglass::ColourOrder;
using sightglass::Preprocessing;

namespace {

/// A grey row of pixels and the values that come back at another width, 0 to 255.
torch::Tensor resized_row(const std::vector<uchar>& pixels, int64_t width) {
  const cv::Mat row(1, static_cast<int>(pixels.size()), CV_8UC1, const_cast<uchar*>(pixels.data()));
  return sightglass::to_tensor(row, Preprocessing().size(1, width).mean({0}).std({1})).flatten() * 255;
}

/// Pillow's bilinear weights, [to, from]: a triangle as wide as the scale, cut at the border, with the sum 1.
torch::Tensor triangle_weights(int64_t from, int64_t to) {
  const double scale = static_cast<double>(from) / static_cast<double>(to), support = std::max(scale, 1.0);
  const torch::Tensor centre = (torch::arange(to, torch::kDouble) + 0.5).mul(scale).view({to, 1});
  const torch::Tensor place = torch::arange(from, torch::kDouble) + 0.5;
  const torch::Tensor weights = (1 - (place - centre).abs() / support).clamp_min(0);
  return weights / weights.sum(1, true);
}

cv::Mat noise(int height, int width) {
  cv::Mat picture(height, width, CV_8UC3);
  cv::RNG(7).fill(picture, cv::RNG::UNIFORM, 0, 256);
  return picture;
}

}  // namespace

TEST_CASE("a picture becomes RGB planes, scaled to 0 to 1 and normalised") {
  const cv::Mat picture(2, 2, CV_8UC3, cv::Scalar(0, 51, 255));  // B, G, R
  const torch::Tensor input = sightglass::to_tensor(picture, sightglass::imagenet(2));
  REQUIRE(input.sizes() == std::vector<int64_t>({1, 3, 2, 2}));
  CHECK(input.scalar_type() == torch::kFloat);
  CHECK(input[0][0][1][1].item<double>() == Approx((1.0 - 0.485) / 0.229));
  CHECK(input[0][1][0][1].item<double>() == Approx((0.2 - 0.456) / 0.224));
  CHECK(input[0][2][1][0].item<double>() == Approx((0.0 - 0.406) / 0.225));
}

TEST_CASE("the order of the picture and that of the network's channels are named, not guessed") {
  const cv::Mat picture(1, 1, CV_8UC3, cv::Scalar(255, 0, 51));
  const auto values = [&](ColourOrder network, ColourOrder order) {
    const torch::Tensor input = sightglass::to_tensor(picture, Preprocessing().channel_order(network), order);
    return (input.flatten() * 255).round();
  };
  const torch::Tensor as_stored = torch::tensor({255.F, 0.F, 51.F}), turned = torch::tensor({51.F, 0.F, 255.F});
  CHECK(values(ColourOrder::rgb, ColourOrder::bgr).equal(turned));
  CHECK(values(ColourOrder::rgb, ColourOrder::rgb).equal(as_stored));
  CHECK(values(ColourOrder::bgr, ColourOrder::bgr).equal(as_stored));
  CHECK(values(ColourOrder::bgr, ColourOrder::rgb).equal(turned));
}

TEST_CASE("shrinking is antialiased") {
  // Scale 2, support 2: the weights at 0.5, 1.5 and 2.5 around 1 are 3/4, 3/4 and 1/4 of their sum 7/4.
  const torch::Tensor row = resized_row({0, 70, 140, 210}, 2);
  CHECK(row[0].item<double>() == Approx(50));
  CHECK(row[1].item<double>() == Approx(160));
}

TEST_CASE("enlarging has half-pixel centres") {
  const torch::Tensor row = resized_row({0, 100}, 4);
  CHECK(torch::allclose(row, torch::tensor({0.F, 25.F, 75.F, 100.F}), 1e-5, 1e-4));
}

TEST_CASE("resizing is Pillow's triangle filter in both directions") {
  const cv::Mat picture = noise(17, 13);
  const torch::Tensor pixels = sightglass::to_tensor(picture, Preprocessing()).to(torch::kDouble)[0];
  for (const std::vector<int64_t>& size : {std::vector<int64_t>{5, 7}, {40, 6}, {9, 31}, {17, 13}}) {
    const torch::Tensor rows = triangle_weights(17, size[0]), columns = triangle_weights(13, size[1]);
    const torch::Tensor expected = torch::matmul(torch::matmul(rows, pixels), columns.t());
    const torch::Tensor input = sightglass::to_tensor(picture, Preprocessing().size(size[0], size[1]))[0];
    REQUIRE(input.sizes() == expected.sizes());
    CHECK((input - expected).abs().max().item<double>() < 1e-5);
  }
}

TEST_CASE("without a size the picture keeps its own") {
  const cv::Mat picture = noise(3, 5);
  const torch::Tensor input = sightglass::to_tensor(picture, Preprocessing());
  REQUIRE(input.sizes() == std::vector<int64_t>({1, 3, 3, 5}));
  CHECK(input[0][2][1][4].item<double>() == Approx(picture.at<cv::Vec3b>(1, 4)[0] / 255.0));
  CHECK(sightglass::to_tensor(picture).sizes() == std::vector<int64_t>({1, 3, 224, 224}));
  CHECK(sightglass::to_tensor(picture, sightglass::imagenet(6, 4)).sizes() == std::vector<int64_t>({1, 3, 6, 4}));
}

TEST_CASE("a part of a picture is read by its own rows") {
  const cv::Mat part = noise(8, 8)(cv::Rect(2, 3, 4, 2));
  for (const ColourOrder order : {ColourOrder::bgr, ColourOrder::rgb}) {  // rgb is used without a copy
    const torch::Tensor expected = sightglass::to_tensor(part.clone(), Preprocessing(), order);
    CHECK(sightglass::to_tensor(part, Preprocessing(), order).equal(expected));
  }
}

TEST_CASE("one mean makes a grey network") {
  const Preprocessing grey = Preprocessing().mean({0.5}).std({0.25});
  const cv::Mat one(1, 1, CV_8UC1, cv::Scalar(51));
  CHECK(sightglass::to_tensor(one, grey).sizes() == std::vector<int64_t>({1, 1, 1, 1}));
  CHECK(sightglass::to_tensor(one, grey).item<double>() == Approx((0.2 - 0.5) / 0.25));
  const cv::Mat red(1, 1, CV_8UC3, cv::Scalar(0, 0, 255));  // luminance 0.299 of 255 is 76
  CHECK(sightglass::to_tensor(red, grey).item<double>() == Approx((76 / 255.0 - 0.5) / 0.25));
  CHECK(sightglass::to_tensor(red, grey, ColourOrder::rgb).item<double>() == Approx((29 / 255.0 - 0.5) / 0.25));
  CHECK(sightglass::to_tensor(one, Preprocessing()).flatten().equal(torch::full({3}, 51.F / 255.F)));
}

TEST_CASE("a tensor goes back to the picture it came from") {
  const cv::Mat picture = noise(6, 9);
  const Preprocessing own_size = sightglass::imagenet(0);
  const torch::Tensor input = sightglass::to_tensor(picture, own_size);
  CHECK(cv::norm(sightglass::to_image(input, own_size), picture, cv::NORM_INF) == 0);
  CHECK(cv::norm(sightglass::to_image(input[0].to(torch::kDouble), own_size), picture, cv::NORM_INF) == 0);
  cv::Mat rgb;
  cv::cvtColor(picture, rgb, cv::COLOR_BGR2RGB);
  CHECK(cv::norm(sightglass::to_image(input, own_size, ColourOrder::rgb), rgb, cv::NORM_INF) == 0);

  const Preprocessing grey = Preprocessing().mean({0.5}).std({0.5});
  const cv::Mat one = (cv::Mat_<uchar>(1, 3) << 0, 17, 255);
  CHECK(cv::norm(sightglass::to_image(sightglass::to_tensor(one, grey), grey), one, cv::NORM_INF) == 0);
}

TEST_CASE("a tensor that requires gradients, is no block of memory, or leaves the range makes a picture") {
  torch::Tensor tensor = torch::zeros({1, 2, 3}).transpose(1, 2);  // [1, 3, 2]
  tensor[0][0][0] = 7;
  tensor[0][2][1] = -3;
  const cv::Mat picture = sightglass::to_image(tensor.requires_grad_(), Preprocessing().mean({0}).std({1}));
  CHECK(picture.size() == cv::Size(2, 3));
  CHECK(picture.at<uchar>(0, 0) == 255);
  CHECK(picture.at<uchar>(2, 1) == 0);
}

TEST_CASE("a tensor on the GPU makes a picture") {
  NEEDS_GPU;
  const cv::Mat picture = sightglass::to_image(torch::ones({3, 2, 2}, torch::kCUDA), Preprocessing());
  CHECK(picture.at<cv::Vec3b>(1, 1) == cv::Vec3b(255, 255, 255));
}

TEST_CASE("errors say what picture, tensor or preprocessing got") {
  const cv::Mat picture(2, 2, CV_8UC3, cv::Scalar(0));
  const auto tensor_of = [](const cv::Mat& from, const Preprocessing& how) { return sightglass::to_tensor(from, how); };
  CHECK_THROWS_WITH(tensor_of(cv::Mat(), Preprocessing()), ContainsSubstring("picture: is empty"));
  CHECK_THROWS_WITH(tensor_of(cv::Mat(2, 2, CV_16UC3), Preprocessing()),
                    ContainsSubstring("picture: is of type CV_16UC3"));
  CHECK_THROWS_WITH(tensor_of(cv::Mat(2, 2, CV_8UC4), Preprocessing()),
                    ContainsSubstring("CV_8UC4; expected CV_8UC3 or CV_8UC1"));
  CHECK_THROWS_WITH(tensor_of(picture, Preprocessing().mean({0.5})), ContainsSubstring("1 means and 3 stds"));
  CHECK_THROWS_WITH(tensor_of(picture, Preprocessing().std({1, 0, 1})), ContainsSubstring("std is 0"));
  CHECK_THROWS_WITH(tensor_of(picture, Preprocessing().size(-1)), ContainsSubstring("size is -1 x -1"));

  const auto image_of = [](const torch::Tensor& from) { return sightglass::to_image(from); };
  CHECK_THROWS_WITH(image_of(torch::zeros({2, 3, 4, 4})),
                    ContainsSubstring("[2, 3, 4, 4]; expected [3, H, W] or [1, 3, H, W]"));
  CHECK_THROWS_WITH(image_of(torch::zeros({1, 4, 4})), ContainsSubstring("the preprocessing has 3 means"));
  CHECK_THROWS_WITH(image_of(torch::zeros({3, 4, 4}, torch::kByte)), ContainsSubstring("tensor: is Byte"));
  CHECK_THROWS_WITH(image_of(torch::Tensor()), ContainsSubstring("tensor: is undefined"));
  CHECK_THROWS_WITH(image_of(torch::full({3, 1, 1}, std::numeric_limits<float>::quiet_NaN())),
                    ContainsSubstring("NaN"));
}
