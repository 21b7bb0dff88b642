#pragma once

#include <torch/arg.h>
#include <torch/types.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace sightglass {

/// The order of a picture's colour channels: OpenCV keeps `bgr`, most networks take `rgb`.
enum class ColourOrder { bgr, rgb };

/// What a network expects of its input picture.
///
/// As in torchvision, values are in 0 to 1 before `mean` and `std`. One mean and one std make a network of one grey
/// channel: `Preprocessing().size(28).mean({0.1307}).std({0.3081})`.
struct Preprocessing {
  /// Height and width of the network's input in pixels; 0 keeps the picture's own.
  TORCH_ARG(int64_t, height) = 0;
  /// See `height`.
  TORCH_ARG(int64_t, width) = 0;
  /// Each channel becomes (value - mean) / std; one or three of both, in the order of the network's channels.
  TORCH_ARG(std::vector<double>, mean) = {0, 0, 0};
  /// See `mean`.
  TORCH_ARG(std::vector<double>, std) = {1, 1, 1};
  /// The order of the network's channels; networks from Caffe take `bgr`.
  TORCH_ARG(ColourOrder, channel_order) = ColourOrder::rgb;

 public:
  /// Height and width at once, both `side` pixels.
  Preprocessing& size(int64_t side) { return size(side, side); }
  /// The same, in pixels.
  Preprocessing& size(int64_t new_height, int64_t new_width) { return height(new_height).width(new_width); }
};

/// torchvision's preprocessing for networks trained on ImageNet, without the crop.
inline Preprocessing imagenet(int64_t height, int64_t width) {
  return Preprocessing().size(height, width).mean({0.485, 0.456, 0.406}).std({0.229, 0.224, 0.225});
}
/// The same for a square of `size` pixels.
inline Preprocessing imagenet(int64_t size = 224) { return imagenet(size, size); }

namespace detail {

inline void check_preprocessing(const Preprocessing& preprocessing) {
  const size_t channels = preprocessing.mean().size();
  TORCH_CHECK((channels == 1 || channels == 3) && preprocessing.std().size() == channels, "preprocessing: has ",
              channels, " means and ", preprocessing.std().size(),
              " stds; expected one of each (grey) or three (colour)");
  for (const double deviation : preprocessing.std())
    TORCH_CHECK(deviation > 0, "preprocessing: std is ", deviation, "; expected values above 0");
  TORCH_CHECK(preprocessing.height() >= 0 && preprocessing.width() >= 0, "preprocessing: size is ",
              preprocessing.height(), " x ", preprocessing.width(),
              "; expected positive numbers, or 0 for the picture's own size");
}

inline void check_picture(const cv::Mat& picture, const char* name) {
  TORCH_CHECK(!picture.empty(), name,
              ": is empty; expected a picture of 8 bits a channel, as sightglass::read_image gives it");
  TORCH_CHECK(picture.dims == 2 && (picture.type() == CV_8UC3 || picture.type() == CV_8UC1), name, ": is of type ",
              cv::typeToString(picture.type()),
              "; expected CV_8UC3 or CV_8UC1; use cv::Mat::convertTo or cv::cvtColor");
}

/// The picture with `channels` channels, three of them in the order `to`.
inline cv::Mat convert_channels(const cv::Mat& picture, ColourOrder from, ColourOrder to, int channels) {
  cv::Mat converted;
  if (picture.channels() == channels && (channels == 1 || from == to)) return picture;
  if (picture.channels() == 1)
    cv::cvtColor(picture, converted, cv::COLOR_GRAY2BGR);
  else if (channels == 1)
    cv::cvtColor(picture, converted, from == ColourOrder::bgr ? cv::COLOR_BGR2GRAY : cv::COLOR_RGB2GRAY);
  else
    cv::cvtColor(picture, converted, cv::COLOR_BGR2RGB);
  return converted;
}

/// A copy of the pixels, `[1, C, H, W]` float32, values 0 to 255.
inline torch::Tensor pixels_of(const cv::Mat& picture) {
  const int64_t channels = picture.channels();
  const std::vector<int64_t> shape = {1, picture.rows, picture.cols, channels};
  const std::vector<int64_t> strides = {static_cast<int64_t>(picture.step[0]) * picture.rows,
                                        static_cast<int64_t>(picture.step[0]), channels, 1};
  return torch::from_blob(picture.data, shape, strides, torch::kByte)
      .permute({0, 3, 1, 2})
      .to(torch::kFloat)
      .contiguous();
}

inline torch::Tensor per_channel(const std::vector<double>& values, const torch::TensorOptions& options) {
  return torch::tensor(values, torch::kDouble).to(options).view({static_cast<int64_t>(values.size()), 1, 1});
}

}  // namespace detail

/// A picture as a network's input: resized whole (no crop), bilinear with antialias, scaled to 0 to 1 and normalised.
///
/// The filter is that of Pillow and torchvision: where the picture shrinks, its support grows. Pillow also rounds to 8
/// bits, between width and height in an order that depends on its version; we do not, so that values differ by 1/255 at
/// most before normalising. Throws `c10::Error` for an empty picture, another type, or a preprocessing that makes no
/// sense.
/// @param picture `CV_8UC3` in the given `order`, or grey `CV_8UC1`; grey and colour are converted into each other.
/// @return `[1, 3, H, W]` float32 on the CPU; `[1, 1, H, W]` when the preprocessing has one mean.
inline torch::Tensor to_tensor(const cv::Mat& picture, const Preprocessing& preprocessing = imagenet(),
                               ColourOrder order = ColourOrder::bgr) {
  detail::check_preprocessing(preprocessing);
  detail::check_picture(picture, "picture");
  const int channels = static_cast<int>(preprocessing.mean().size());
  const torch::Tensor pixels =
      detail::pixels_of(detail::convert_channels(picture, order, preprocessing.channel_order(), channels));
  const int64_t height = preprocessing.height() > 0 ? preprocessing.height() : pixels.size(2);
  const int64_t width = preprocessing.width() > 0 ? preprocessing.width() : pixels.size(3);
  return at::_upsample_bilinear2d_aa(pixels, {height, width}, /*align_corners=*/false)
      .div_(255)
      .sub_(detail::per_channel(preprocessing.mean(), pixels.options()))
      .div_(detail::per_channel(preprocessing.std(), pixels.options()));
}

/// The inverse of `to_tensor`, but for the size: a normalised tensor as a picture in the given `order`. Throws
/// `c10::Error` for another shape or type, and where the tensor holds NaN or infinity.
///
/// @param tensor `[C, H, W]` or `[1, C, H, W]` of any floating type on any device; `C` as in the preprocessing.
/// @return `CV_8UC3`, or `CV_8UC1` when the preprocessing has one mean; values outside 0 to 1 are clamped.
inline cv::Mat to_image(const torch::Tensor& tensor, const Preprocessing& preprocessing = imagenet(),
                        ColourOrder order = ColourOrder::bgr) {
  detail::check_preprocessing(preprocessing);
  const int64_t channels = static_cast<int64_t>(preprocessing.mean().size());
  TORCH_CHECK(tensor.defined() && tensor.is_floating_point(), "tensor: is ",
              tensor.defined() ? c10::toString(tensor.scalar_type()) : "undefined",
              "; expected floating-point values, normalised by the preprocessing");
  const bool batch_of_one = tensor.dim() == 4 && tensor.size(0) == 1;
  TORCH_CHECK((tensor.dim() == 3 || batch_of_one) && tensor.size(-3) == channels && tensor.numel() > 0,
              "tensor: has shape ", tensor.sizes(), "; expected [", channels, ", H, W] or [1, ", channels,
              ", H, W], as the preprocessing has ", channels, " means; of a batch take one picture: input[0]");
  torch::Tensor values =
      tensor.detach().to(torch::kCPU, torch::kFloat).view({channels, tensor.size(-2), tensor.size(-1)});
  TORCH_CHECK(values.isfinite().all().item<bool>(), "tensor: holds NaN or infinity; expected finite values");
  values = values * detail::per_channel(preprocessing.std(), values.options()) +
           detail::per_channel(preprocessing.mean(), values.options());
  values = values.mul_(255).round_().clamp_(0, 255).to(torch::kByte).permute({1, 2, 0}).contiguous();
  const cv::Mat pixels(static_cast<int>(values.size(0)), static_cast<int>(values.size(1)),
                       CV_8UC(static_cast<int>(channels)), values.data_ptr());
  const cv::Mat picture =
      detail::convert_channels(pixels, preprocessing.channel_order(), order, static_cast<int>(channels));
  return picture.data == pixels.data ? picture.clone() : picture;  // never the tensor's memory
}

}  // namespace sightglass
