#pragma once

#include <unistd.h>

#include <c10/util/Exception.h>
#include <opencv2/imgcodecs.hpp>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

namespace support {

namespace fs = std::filesystem;

/// The extension in lower case, with its dot.
inline std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  return extension;
}

/// Whether the name is that of a picture file which OpenCV reads and writes.
inline bool is_picture_name(const fs::path& path) {
  static const std::vector<std::string> known{".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"};
  return std::find(known.begin(), known.end(), extension_of(path)) != known.end();
}

/// Makes the file whole or not at all: `write` fills a file beside it, which then takes its name. Folders are made.
inline void write_whole(const fs::path& path, const std::function<void(const std::string& path)>& write) {
  std::error_code failed;
  if (path.has_parent_path()) fs::create_directories(path.parent_path(), failed);
  TORCH_CHECK(!failed, "folder \"", path.parent_path().string(), "\": cannot be made: ", failed.message());
  const fs::path beside =
      path.parent_path() / ("." + path.stem().string() + "." + std::to_string(::getpid()) + path.extension().string());
  try {
    write(beside.string());
    fs::rename(beside, path);
  } catch (...) {
    fs::remove(beside, failed);
    throw;
  }
}

/// The same for bytes at hand.
inline void write_whole(const fs::path& path, const std::string& bytes) {
  write_whole(path, [&](const std::string& beside) {
    std::ofstream stream(beside, std::ios::binary);
    stream.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    stream.close();
    TORCH_CHECK(stream.good(), "file \"", path.string(), "\": cannot be written: ", std::strerror(errno));
  });
}

/// A picture as a file of the format that the extension, with its dot, asks for.
inline std::string picture_bytes(const cv::Mat& picture, const std::string& extension) {
  std::vector<unsigned char> bytes;
  TORCH_CHECK(cv::imencode(extension, picture, bytes), "a picture cannot be encoded as ", extension);
  return {bytes.begin(), bytes.end()};
}

/// A picture in the format that the name asks for.
inline void write_picture(const fs::path& path, const cv::Mat& picture) {
  write_whole(path, picture_bytes(picture, extension_of(path)));
}

}  // namespace support
