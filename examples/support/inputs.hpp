#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "files.hpp"
#include "npy.hpp"
#include "preparation.hpp"

namespace support {

/// The end of the names of the pictures that `explain` writes; a folder's pictures with it are not read again.
inline const std::string& written_suffix() {
  static const std::string suffix = "_explained";
  return suffix;
}

/// What a model is given and what its maps are drawn over: one picture, or the N of an array file.
struct Input {
  std::string path;
  torch::Tensor batch;            // [N, C, *S], as the model takes it
  std::vector<cv::Mat> photos;    // where they are pictures: N, 8-bit BGR, at full size
  std::vector<Placement> places;  // of each
};

/// One picture of an input, or one series, or one volume.
inline Input one_of(const Input& input, size_t number) {
  const auto row = static_cast<int64_t>(number);
  Input one{input.path, input.batch.slice(0, row, row + 1), {}, {}};
  if (!input.photos.empty()) one.photos = {input.photos[number]};
  if (!input.places.empty()) one.places = {input.places[number]};
  return one;
}

namespace detail {

/// The first three channels of `[C, H, W]` as a picture, or the first as grey, spread over all of black to white.
inline cv::Mat picture_of(const torch::Tensor& array) {
  const int64_t channels = array.size(0) >= 3 ? 3 : 1;
  torch::Tensor values = array.slice(0, 0, channels).nan_to_num(0, 0, 0);
  const torch::Tensor low = values.min(), span = values.max() - low;
  values = span.item<float>() > 0 ? (values - low) / span : torch::zeros_like(values);
  return sightglass::to_image(values.expand({3, array.size(1), array.size(2)}), sightglass::Preprocessing());
}

/// As a batch: of as many spatial dimensions as the model's first convolution has; where that is not known, 3
/// dimensions are one picture, as is any array of other dimensions than a batch of pictures.
inline torch::Tensor as_batch(const torch::Tensor& array, const std::string& path, int64_t dimensions) {
  const int64_t spatial =
      dimensions > 0 ? dimensions : std::clamp<int64_t>(array.dim() - 2, array.dim() == 2 ? 1 : 2, 3);
  if (array.dim() == spatial + 2) return array;
  if (array.dim() == spatial + 1) return array.unsqueeze(0);
  const std::string places = spatial == 1 ? "L]" : spatial == 2 ? "H, W]" : "D, H, W]";
  const std::string why = dimensions > 0 ? ": the model's first convolution is " + std::to_string(spatial) + "-D" : "";
  TORCH_CHECK(false, "array \"", path, "\": has shape ", array.sizes(), "; expected [C, ", places, " or [N, C, ",
              places, why);
}

/// @param batch `[N, C, *S]`, what the file holds
inline Input input_of(const std::string& path, const torch::Tensor& batch) {
  Input input{path, batch, {}, {}};
  for (int64_t i = 0; batch.dim() == 4 && i < batch.size(0); ++i) {
    const cv::Rect whole(0, 0, static_cast<int>(batch.size(3)), static_cast<int>(batch.size(2)));
    input.photos.push_back(picture_of(batch[i]));
    input.places.push_back({whole, whole, whole.size()});
  }
  return input;
}

inline Input read_array(const std::string& path, int64_t dimensions) {
  const torch::Tensor array = read_npy(path);
  TORCH_CHECK(array.scalar_type() == torch::kFloat, "array \"", path, "\": holds whole numbers (", array.scalar_type(),
              "); of pictures, expected float32: array.astype('float32')");
  return input_of(path, as_batch(array, path, dimensions));
}

/// Throws `c10::Error` for a model that no picture serves.
inline void check_takes_pictures(const std::string& path, const FirstConvolution& convolution) {
  const auto [dimensions, channels] = convolution;
  TORCH_CHECK(dimensions == 0 || dimensions == 2, "picture \"", path, "\": the model's first convolution is ",
              dimensions, "-D; give a .npy array, ", dimensions == 1 ? "[C, L]" : "[C, D, H, W]",
              ", prepared as the model takes it");
  TORCH_CHECK(channels == 0 || channels == 1 || channels == 3, "picture \"", path,
              "\": the model's first convolution takes ", channels,
              " channels, a picture has 1 or 3; give a .npy array [", channels,
              ", H, W], prepared as the model takes it");
}

inline std::vector<std::string> pictures_in(const std::filesystem::path& folder) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();
    const size_t kept = stem.size() - std::min(stem.size(), written_suffix().size());
    if (entry.is_regular_file() && is_picture_name(entry.path()) && stem.front() != '.' &&
        stem.substr(kept) != written_suffix())
      found.push_back(entry.path().string());
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace detail

/// The files that a path of the command line stands for: itself, or a folder's pictures in the order of their names.
/// Throws `c10::Error` for a folder without pictures.
inline std::vector<std::string> files_of(const std::string& path) {
  std::error_code unreadable;  // such a path is left to whoever reads it
  if (!std::filesystem::is_directory(path, unreadable)) return {path};
  std::vector<std::string> found = detail::pictures_in(path);
  TORCH_CHECK(!found.empty(), "folder \"", path, "\": holds no pictures");
  return found;
}

/// Reads a picture, prepared as asked for, or an array as it is (`.npy`).
/// Throws `c10::Error` where the file is missing, damaged or something else, or not what the model takes.
inline Input read_input(const std::string& path, const Preparation& wanted,
                        const sightglass::ImageOptions& options = {}) {
  if (extension_of(path) == ".npy") return detail::read_array(path, wanted.convolution.dimensions);
  const cv::Mat photo = sightglass::read_image(path, options);
  detail::check_takes_pictures(path, wanted.convolution);
  return {path, prepared(photo, wanted), {photo}, {placement_of(photo.size(), wanted)}};
}

}  // namespace support
