#pragma once

#include <sightglass/opencv/preprocessing.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "first_convolution.hpp"

namespace support {

/// How a picture of other proportions than the model's input becomes one.
enum class Fit {
  stretch,    ///< whole, its proportions changed
  crop,       ///< enlarged or shrunk until it covers the input, then its middle
  letterbox,  ///< whole, its proportions kept, grey bars beside it
  own_size    ///< whole, as large as it is: models that resize it themselves
};

/// Throws `UsageError` for an unknown word.
inline Fit fit_called(const std::string& word) {
  static const std::vector<std::pair<std::string, Fit>> fits{
      {"stretch", Fit::stretch}, {"crop", Fit::crop}, {"letterbox", Fit::letterbox}};
  for (const auto& [name, fit] : fits)
    if (name == word) return fit;
  throw UsageError("--fit " + word + ": no such way; expected one of stretch, crop, letterbox");
}

/// What is made of a picture before the model sees it.
struct Preparation {
  Preparation(int64_t side = 224) : height(side), width(side) {}  // NOLINT(google-explicit-constructor)

  int64_t height, width;  // of the model's input
  Fit fit = Fit::stretch;
  std::vector<double> mean, std;  // one a channel, or one for all; empty: those of ImageNet
  FirstConvolution convolution;   // of the model, as far as it is known

  /// 1: grey pictures; 3: RGB.
  int64_t channels() const { return convolution.channels == 1 ? 1 : 3; }
};

/// Where a model's input lies on the picture that it was made of.
struct Placement {
  cv::Rect in_input;  // the part that shows the picture: all of it, but for a letterbox's bars
  cv::Rect on_photo;  // what that part shows: all of it, but for a crop
  cv::Size input;

  bool has_bars() const { return in_input.size() != input; }
};

namespace detail {

/// The mean or the std of each channel.
inline std::vector<double> for_each_channel(std::vector<double> given, const Preparation& wanted, const char* option) {
  const auto channels = static_cast<size_t>(wanted.channels());
  if (given.size() == 1) given.resize(channels, given.front());
  if (given.size() != channels)
    throw UsageError(std::string(option) + ": has " + std::to_string(given.size()) + " values, expected " +
                     (channels == 1 ? "one: the model takes grey pictures" : "three, or one for all"));
  return given;
}

/// ImageNet's; of grey pictures, the means of those of the three colours.
inline std::vector<double> imagenet_mean(int64_t channels) {
  return channels == 1 ? std::vector<double>{0.449} : std::vector<double>{0.485, 0.456, 0.406};
}
inline std::vector<double> imagenet_std(int64_t channels) {
  return channels == 1 ? std::vector<double>{0.226} : std::vector<double>{0.229, 0.224, 0.225};
}

inline sightglass::Preprocessing preprocessing_of(const Preparation& wanted) {
  const bool given = !wanted.mean.empty();
  return sightglass::Preprocessing()
      .mean(given ? for_each_channel(wanted.mean, wanted, "--mean") : imagenet_mean(wanted.channels()))
      .std(given ? for_each_channel(wanted.std, wanted, "--std") : imagenet_std(wanted.channels()));
}

/// How a picture is brought to the model's input.
struct Scaling {
  cv::Size input, scaled;  // what the picture is resized to, before its margins are cut off or bars are added
  cv::Point margin;        // left and top, in pixels of `input`: what is cut off, or the bar
};

/// A letterbox in whole pixels as Ultralytics makes it, a crop as torchvision does (`Resize`, then `CenterCrop`).
inline Scaling scaling_of(const cv::Size& photo, const Preparation& wanted) {
  if (wanted.fit == Fit::own_size) return {photo, photo, {}};
  const cv::Size input(static_cast<int>(wanted.width), static_cast<int>(wanted.height));
  if (wanted.fit == Fit::stretch) return {input, input, {}};
  const bool crop = wanted.fit == Fit::crop;
  const double across = static_cast<double>(input.width) / photo.width;
  const double down = static_cast<double>(input.height) / photo.height;
  const double scale = crop ? std::max(across, down) : std::min(across, down);
  const auto length = [&](int pixels) {
    return std::max(1, static_cast<int>(crop ? pixels * scale + 1e-6 : std::round(pixels * scale)));
  };
  const cv::Size scaled(across == scale ? input.width : length(photo.width),
                        down == scale ? input.height : length(photo.height));
  // Halves are rounded to the even one, and down.
  const auto margin = [&](int longer, int shorter) {
    return static_cast<int>(crop ? std::nearbyint((longer - shorter) / 2.0)
                                 : std::round((shorter - longer) / 2.0 - 0.1));
  };
  return {input, scaled, {margin(scaled.width, input.width), margin(scaled.height, input.height)}};
}

/// A rectangle of a `[N, C, H, W]`.
inline torch::Tensor part_of(const torch::Tensor& batch, const cv::Rect& part) {
  return batch.slice(-2, part.y, part.y + part.height).slice(-1, part.x, part.x + part.width);
}

/// What becomes of a length where `from` pixels become `to`.
inline int rescaled(int length, int from, int to) {
  return static_cast<int>(std::lround(static_cast<double>(length) * to / from));
}

}  // namespace detail

/// Where the input that is made of a picture lies on it.
inline Placement placement_of(const cv::Size& photo, const Preparation& wanted) {
  const auto [input, scaled, margin] = detail::scaling_of(photo, wanted);
  Placement place{cv::Rect({0, 0}, input), cv::Rect({0, 0}, photo), input};
  if (wanted.fit == Fit::letterbox) place.in_input = cv::Rect(margin, scaled);
  if (wanted.fit == Fit::crop) {
    const cv::Point end = margin + cv::Point(input);
    const cv::Point from(detail::rescaled(margin.x, scaled.width, photo.width),
                         detail::rescaled(margin.y, scaled.height, photo.height));
    const cv::Point to(detail::rescaled(end.x, scaled.width, photo.width),
                       detail::rescaled(end.y, scaled.height, photo.height));
    place.on_photo = cv::Rect(from, cv::Point(std::max(to.x, from.x + 1), std::max(to.y, from.y + 1)));
  }
  return place;
}

/// The picture as the model's input, `[1, channels, height, width]`.
/// Throws `UsageError` for a mean or std that is not one a channel.
inline torch::Tensor prepared(const cv::Mat& photo, const Preparation& wanted) {
  const auto [input, scaled, margin] = detail::scaling_of(photo.size(), wanted);
  sightglass::Preprocessing preprocessing = detail::preprocessing_of(wanted);
  torch::Tensor whole = sightglass::to_tensor(photo, preprocessing.size(scaled.height, scaled.width));
  if (wanted.fit == Fit::stretch || wanted.fit == Fit::own_size) return whole;
  if (wanted.fit == Fit::crop) return detail::part_of(whole, cv::Rect(margin, input)).contiguous();
  const cv::Mat bars(input, CV_8UC3, cv::Scalar::all(114));  // Ultralytics' grey
  torch::Tensor boxed = sightglass::to_tensor(bars, preprocessing.size(input.height, input.width));
  detail::part_of(boxed, cv::Rect(margin, scaled)).copy_(whole);
  return boxed;
}

namespace detail {

/// @param map `[h, w]`
inline torch::Tensor enlarged(const torch::Tensor& map, const cv::Size& size) {
  return at::upsample_bilinear2d(map.unsqueeze(0).unsqueeze(0), {size.height, size.width}, false)[0][0];
}

}  // namespace detail

/// The part of a map that lies on the picture: all of it, as it is, or that between a letterbox's bars, enlarged.
/// @param map `[h, w]`
inline torch::Tensor on_picture(const torch::Tensor& map, const Placement& place) {
  return place.has_bars() ? detail::part_of(detail::enlarged(map, place.input), place.in_input) : map;
}

/// The same in pixels of the part of the picture that the model is shown.
inline torch::Tensor in_pixels(const torch::Tensor& map, const Placement& place) {
  return detail::enlarged(on_picture(map, place), place.on_photo.size());
}

/// Where a map is highest, x and y in pixels of the picture.
inline std::pair<int64_t, int64_t> peak_on_picture(const torch::Tensor& map, const Placement& place) {
  const cv::Rect& shown = place.on_photo;
  const auto highest = at::nan_to_num(in_pixels(map, place), -INFINITY).argmax().item<int64_t>();
  return {shown.x + highest % shown.width, shown.y + highest / shown.width};
}

}  // namespace support
