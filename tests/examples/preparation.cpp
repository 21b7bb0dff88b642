#include "support/preparation.hpp"

#include "support/harness/catch.hpp"
#include "support/inputs.hpp"

using namespace support;

namespace {

/// A model that is one call of TorchScript's source, with a weight of this shape.
torch::jit::Module calling(const std::string& expression, at::IntArrayRef weight) {
  static int count = 0;
  torch::jit::Module model("__torch__.Calling" + std::to_string(count++));
  model.register_attribute("training", c10::BoolType::get(), false);
  model.register_parameter("weight", torch::ones(weight), false);
  model.define("def forward(self, x):\n  return " + expression + "\n");
  return model;
}

FirstConvolution found(const std::string& expression, at::IntArrayRef weight) {
  return first_convolution(calling(expression, weight));
}

/// A picture whose pixel (x, y) has the grey value 10 x + y.
cv::Mat numbered(int width, int height) {
  cv::Mat picture(height, width, CV_8UC3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) picture.at<cv::Vec3b>(y, x) = cv::Vec3b::all(static_cast<uchar>(10 * x + y));
  return picture;
}

Preparation plain(int64_t height, int64_t width, Fit fit) {
  Preparation wanted;
  wanted.height = height;
  wanted.width = width;
  wanted.fit = fit;
  wanted.mean = {0};
  wanted.std = {1};
  return wanted;
}

/// The grey value of the input at a pixel, 0 to 255.
double value(const torch::Tensor& input, int64_t y, int64_t x) { return 255 * input[0][0][y][x].item<double>(); }

}  // namespace

TEST_CASE("the first convolution tells the dimensions and channels of a model's input", "[first_convolution]") {
  const FirstConvolution picture = found("torch.conv2d(x, self.weight)", {4, 1, 3, 3});
  CHECK(picture.dimensions == 2);
  CHECK(picture.channels == 1);
  CHECK(found("torch.conv1d((x - 0.5) / 2.0, self.weight)", {4, 12, 3}).dimensions == 1);
  CHECK(found("torch.conv3d(x, self.weight)", {4, 2, 3, 3, 3}).dimensions == 3);
  const std::string grouped = "torch.conv2d(x, self.weight, None, [1, 1], [0, 0], [1, 1], 2)";
  CHECK(found(grouped, {4, 3, 3, 3}).channels == 6);

  torch::jit::Module outer("__torch__.Outer");
  outer.register_attribute("training", c10::BoolType::get(), false);
  outer.register_module("stem", calling("torch.conv2d(x, self.weight)", {4, 3, 3, 3}));
  outer.define("def forward(self, x):\n  return torch.relu(self.stem.forward(x))\n");
  CHECK(first_convolution(outer).channels == 3);
  CHECK(first_convolution(torch::jit::freeze(outer)).channels == 3);
}

TEST_CASE("a convolution that sees something else than the input tells nothing", "[first_convolution]") {
  for (const std::string seen : {"torch.pixel_unshuffle(x, 2)", "torch.flatten(x, 0, 1)", "x.permute([0, 3, 1, 2])"})
    CHECK(found("torch.conv2d(" + seen + ", self.weight)", {4, 12, 3, 3}).channels == 0);
  CHECK(found("torch.linear(x, self.weight)", {4, 12}).dimensions == 0);
}

TEST_CASE("a crop is the middle of the picture that covers the input", "[preparation]") {
  const Preparation wanted = plain(4, 4, Fit::crop);
  const torch::Tensor input = prepared(numbered(8, 4), wanted);
  REQUIRE(input.sizes() == at::IntArrayRef({1, 3, 4, 4}));
  CHECK(value(input, 0, 0) == Approx(20));  // x 2, y 0
  CHECK(value(input, 3, 3) == Approx(53));
  CHECK(placement_of({8, 4}, wanted).on_photo == cv::Rect(2, 0, 4, 4));
  CHECK(placement_of({16, 8}, wanted).on_photo == cv::Rect(4, 0, 8, 8));  // shrunk by two
  CHECK(placement_of({10, 30}, wanted).on_photo == cv::Rect(0, 10, 10, 10));
  CHECK(placement_of({8, 4}, plain(2, 8, Fit::crop)).on_photo == cv::Rect(0, 1, 8, 2));
}

TEST_CASE("a letterbox keeps the whole picture between grey bars", "[preparation]") {
  const Preparation wanted = plain(8, 8, Fit::letterbox);
  const torch::Tensor input = prepared(numbered(8, 4), wanted);
  REQUIRE(input.sizes() == at::IntArrayRef({1, 3, 8, 8}));
  CHECK(value(input, 1, 5) == Approx(114));
  CHECK(value(input, 6, 5) == Approx(114));
  CHECK(value(input, 2, 5) == Approx(50));
  CHECK(value(input, 5, 7) == Approx(73));
  const Placement place = placement_of({8, 4}, wanted);
  CHECK(place.in_input == cv::Rect(0, 2, 8, 4));
  CHECK(place.on_photo == cv::Rect(0, 0, 8, 4));
  CHECK(placement_of({8, 3}, wanted).in_input == cv::Rect(0, 2, 8, 3));  // two rows above, three below
  CHECK(placement_of({3, 30}, wanted).in_input == cv::Rect(3, 0, 1, 8));
}

TEST_CASE("a peak lies where the model saw it, for each fit", "[preparation]") {
  torch::Tensor corner = torch::zeros({2, 2});
  corner[0][0] = 1;
  CHECK(peak_on_picture(corner, placement_of({16, 8}, plain(4, 4, Fit::stretch))) == std::pair<int64_t, int64_t>(0, 0));
  CHECK(peak_on_picture(corner, placement_of({16, 8}, plain(4, 4, Fit::crop))) == std::pair<int64_t, int64_t>(4, 0));

  // Element (1, 2) of 4 x 4 lies around x 5, y 3 of an input of 8 x 8, whose rows 2 to 5 show 40 pixels.
  torch::Tensor inner = torch::zeros({4, 4});
  inner[1][2] = 1;
  const auto [x, y] = peak_on_picture(inner, placement_of({80, 40}, plain(8, 8, Fit::letterbox)));
  CHECK(std::abs(x - 50) <= 5);
  CHECK(std::abs(y - 10) <= 5);
  torch::Tensor bar = torch::zeros({4, 4});  // what is highest in a bar is not seen
  bar[0][0] = 1;
  bar[2][3] = 0.5;
  CHECK(peak_on_picture(bar, placement_of({80, 40}, plain(8, 8, Fit::letterbox))).first > 60);
}

TEST_CASE("pictures are as for ImageNet unless a mean is given, and grey where the model is", "[preparation]") {
  Preparation wanted(4);
  const cv::Mat white(4, 4, CV_8UC3, cv::Scalar::all(255));
  CHECK(prepared(white, wanted)[0][0][0][0].item<double>() == Approx((1 - 0.485) / 0.229).epsilon(1e-5));
  wanted.convolution = {2, 1};
  CHECK(prepared(white, wanted).size(1) == 1);
  CHECK(prepared(white, wanted)[0][0][0][0].item<double>() == Approx((1 - 0.449) / 0.226).epsilon(1e-5));
  wanted.mean = {0.5};
  wanted.std = {0.25};
  CHECK(prepared(white, wanted)[0][0][0][0].item<double>() == Approx(2));
  wanted.mean = {0.5, 0.5, 0.5};
  CHECK_THROWS_WITH(prepared(white, wanted), ContainsSubstring("--mean: has 3 values, expected one"));
}

TEST_CASE("a picture is refused where the model's first convolution takes something else", "[preparation]") {
  using support::detail::check_takes_pictures;
  CHECK_NOTHROW(check_takes_pictures("a.png", {}));
  CHECK_NOTHROW(check_takes_pictures("a.png", {2, 3}));
  CHECK_THROWS_WITH(check_takes_pictures("a.png", {2, 4}), ContainsSubstring("give a .npy array [4, H, W]"));
  CHECK_THROWS_WITH(check_takes_pictures("a.png", {1, 12}), ContainsSubstring("is 1-D; give a .npy array, [C, L]"));
}

TEST_CASE("an array becomes a batch by the first convolution, or else by its own dimensions", "[inputs]") {
  const auto shape = [](at::IntArrayRef given, int64_t dimensions) {
    return support::detail::as_batch(torch::zeros(given), "a.npy", dimensions).sizes().vec();
  };
  CHECK(shape({12, 50}, 1) == std::vector<int64_t>{1, 12, 50});
  CHECK(shape({2, 12, 50}, 1) == std::vector<int64_t>{2, 12, 50});
  CHECK(shape({3, 8, 9}, 2) == std::vector<int64_t>{1, 3, 8, 9});
  CHECK(shape({1, 4, 8, 9}, 3) == std::vector<int64_t>{1, 1, 4, 8, 9});
  CHECK(shape({2, 1, 4, 8, 9}, 3) == std::vector<int64_t>{2, 1, 4, 8, 9});
  CHECK(shape({12, 50}, 0) == std::vector<int64_t>{1, 12, 50});
  CHECK(shape({3, 8, 9}, 0) == std::vector<int64_t>{1, 3, 8, 9});
  CHECK(shape({1, 4, 8, 9}, 0) == std::vector<int64_t>{1, 4, 8, 9});
  CHECK(shape({2, 1, 4, 8, 9}, 0) == std::vector<int64_t>{2, 1, 4, 8, 9});
  CHECK_THROWS_WITH(shape({3, 8, 9, 2, 2}, 2), ContainsSubstring("expected [C, H, W] or [N, C, H, W]: the model's"));
  CHECK_THROWS_WITH(shape({3}, 0), ContainsSubstring("expected [C, H, W] or [N, C, H, W]"));
}
