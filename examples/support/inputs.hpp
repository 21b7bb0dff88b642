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

namespace support {

/// The end of the names of the pictures that `explain` writes; a folder's pictures with it are not read again.
inline const std::string& written_suffix() {
  static const std::string suffix = "_explained";
  return suffix;
}

/// What a model is given and what its maps are drawn over: one picture, or the N of an array file.
struct Input {
  std::string path;
  torch::Tensor batch;          // [N, C, H, W], as the model takes it
  std::vector<cv::Mat> photos;  // N pictures, 8-bit BGR, at full size
};

namespace detail {

/// The first three channels of `[C, H, W]` as a picture, or the first as grey, spread over all of black to white.
inline cv::Mat picture_of(const torch::Tensor& array) {
  const int64_t channels = array.size(0) >= 3 ? 3 : 1;
  torch::Tensor values = array.slice(0, 0, channels).nan_to_num(0, 0, 0);
  const torch::Tensor low = values.min(), span = values.max() - low;
  values = span.item<float>() > 0 ? (values - low) / span : torch::zeros_like(values);
  return sightglass::to_image(values.expand({3, array.size(1), array.size(2)}), sightglass::Preprocessing());
}

inline Input read_array(const std::string& path) {
  torch::Tensor batch = read_npy(path);
  TORCH_CHECK(batch.dim() == 3 || batch.dim() == 4, "array \"", path, "\": has shape ", batch.sizes(),
              "; expected [C, H, W] or [N, C, H, W]; in C++, of series and volumes: sightglass::explain(script, input, "
              "layer, sightglass::GradCam{})");
  if (batch.dim() == 3) batch = batch.unsqueeze(0);
  Input input{path, batch, {}};
  for (int64_t i = 0; i < batch.size(0); ++i) input.photos.push_back(picture_of(batch[i]));
  return input;
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
  const std::vector<std::string> found = detail::pictures_in(path);
  TORCH_CHECK(!found.empty(), "folder \"", path, "\": holds no pictures");
  return found;
}

/// Reads a picture, resized to `size` x `size` and normalised as torchvision does, or an array as it is (`.npy`).
/// Throws `c10::Error` where the file is missing, damaged or something else.
inline Input read_input(const std::string& path, int64_t size, const sightglass::ImageOptions& options = {}) {
  if (extension_of(path) == ".npy") return detail::read_array(path);
  const cv::Mat photo = sightglass::read_image(path, options);
  return {path, sightglass::to_tensor(photo, sightglass::imagenet(size)), {photo}};
}

}  // namespace support
