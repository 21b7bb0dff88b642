#pragma once

#include <c10/util/Exception.h>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <torch/arg.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <string>
#include <system_error>
#include <vector>

namespace sightglass {

/// Options of `read_image`.
struct ImageOptions {
  /// The values of the file that become black and white, beyond which all are; both 0 for all of 8 or 16 bits.
  TORCH_ARG(double, low) = 0;
  /// See `low`.
  TORCH_ARG(double, high) = 0;

 public:
  /// Both: `ImageOptions().range(0, 4095)` for 12 bits stored in 16.
  ImageOptions& range(double black, double white) { return low(black).high(white); }
  /// True where a range was given.
  bool has_range() const { return high_ != low_; }
};

namespace detail {

inline std::vector<uchar> read_file(const std::string& path) {
  std::error_code unknown;  // a folder that may not be entered leaves the rest to the stream
  const std::filesystem::file_type type = std::filesystem::status(path, unknown).type();
  TORCH_CHECK(type != std::filesystem::file_type::not_found, "image \"", path, "\": no such file");
  const bool openable = type == std::filesystem::file_type::regular || type == std::filesystem::file_type::none;
  TORCH_CHECK(openable, "image \"", path, "\": is ",
              type == std::filesystem::file_type::directory ? "a folder" : "not a regular file",
              "; expected the path of one image file");
  std::ifstream stream(path, std::ios::binary | std::ios::ate);
  TORCH_CHECK(stream.good(), "image \"", path, "\": cannot be opened; expected a file that may be read");
  std::vector<uchar> bytes(static_cast<size_t>(stream.tellg()));
  TORCH_CHECK(!bytes.empty(), "image \"", path, "\": is empty (0 bytes)");
  stream.seekg(0);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  TORCH_CHECK(stream.good(), "image \"", path, "\": cannot be read to its end");
  return bytes;
}

inline bool starts_with(const std::vector<uchar>& bytes, const std::string& start) {
  return bytes.size() >= start.size() && std::memcmp(bytes.data(), start.data(), start.size()) == 0;
}

/// Whether the markers of a JPEG file lead to its end-of-image marker. OpenCV pads a truncated JPEG with grey and says
/// nothing. Segments are skipped by their length, because the thumbnail in an EXIF segment has an end marker of its
/// own.
inline bool jpeg_is_complete(const std::vector<uchar>& bytes) {
  size_t at = 2;
  while (at + 1 < bytes.size()) {
    const uchar marker = bytes[at + 1];
    if (bytes[at] != 0xFF || marker == 0xFF) {  // entropy-coded data, or a fill byte
      ++at;
      continue;
    }
    if (marker == 0xD9) return true;
    const bool bare = marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD8);  // a stuffed byte, a restart: no length
    if (!bare && at + 3 >= bytes.size()) return false;
    at += 2 + (bare ? size_t{0} : static_cast<size_t>(bytes[at + 2] * 256 + bytes[at + 3]));
  }
  return false;
}

/// Whether the chunks of a PNG file lead to its end chunk; asked before libpng, which writes to standard error.
inline bool png_is_complete(const std::vector<uchar>& bytes) {
  size_t at = 8;
  while (at + 12 <= bytes.size()) {
    if (std::memcmp(&bytes[at + 4], "IEND", 4) == 0) return true;
    size_t length = 0;
    for (size_t i = 0; i < 4; ++i) length = length * 256 + bytes[at + i];
    at += length + 12;
  }
  return false;
}

inline bool is_jpeg(const std::vector<uchar>& bytes) { return starts_with(bytes, "\xFF\xD8"); }

inline void check_complete(const std::vector<uchar>& bytes, const std::string& path) {
  const bool complete = is_jpeg(bytes)                            ? jpeg_is_complete(bytes)
                        : starts_with(bytes, "\x89PNG\r\n\x1A\n") ? png_is_complete(bytes)
                                                                  : true;
  TORCH_CHECK(complete, "image \"", path, "\": is truncated, its end marker is missing after ", bytes.size(),
              " bytes; copy or download the file again");
}

inline cv::Mat decode_image(const std::vector<uchar>& bytes, const std::string& path, int flags) {
  cv::Mat picture;
  try {
    picture = cv::imdecode(bytes, flags);
  } catch (const cv::Exception& error) {
    TORCH_CHECK(false, "image \"", path, "\": OpenCV cannot decode it: ", error.err);
  }
  TORCH_CHECK(!picture.empty(), "image \"", path, "\": not an image that OpenCV can decode, or damaged (", bytes.size(),
              " bytes); expected a JPEG, PNG, WebP, TIFF or BMP file of 8 or 16 bits a channel");
  return picture;
}

/// 8-bit BGRA over a white page, as a viewer shows it: what a transparent pixel hides is often black or arbitrary.
inline cv::Mat blend_over_white(const cv::Mat& bgra) {
  cv::Mat bgr(bgra.size(), CV_8UC3);
  for (int y = 0; y < bgra.rows; ++y) {
    const cv::Vec4b* from = bgra.ptr<cv::Vec4b>(y);
    cv::Vec3b* to = bgr.ptr<cv::Vec3b>(y);
    for (int x = 0; x < bgra.cols; ++x)
      for (int c = 0; c < 3; ++c)
        to[x][c] = static_cast<uchar>((from[x][c] * from[x][3] + 255 * (255 - from[x][3]) + 127) / 255);
  }
  return bgr;
}

/// Warns where a 16-bit file uses so little of its range that hardly a grey level is left: scanners and cameras store
/// 10, 12 or 14 bits in 16.
inline void warn_of_small_range(const cv::Mat& picture, const std::string& path) {
  constexpr double few = 16384;  // a quarter of the range
  double low = 0, high = 0;
  cv::minMaxLoc(picture.reshape(1), &low, &high);
  if (high - low >= few || high == low) return;
  double white = 255;  // of as many bits as the values need
  while (white < high) white = 2 * white + 1;
  const double black = white < few ? 0 : low;
  TORCH_WARN("image \"", path, "\": its values are ", low, " to ", high, " of 0 to 65535, so that ",
             std::lround(high / 257) - std::lround(low / 257) + 1,
             " grey levels are left; give the values that are black and white, such as ImageOptions().range(", black,
             ", ", white < few ? white : high, ")");
}

/// To 8 bits; alpha, where there is one, by all of its range.
inline cv::Mat scale_to_8_bits(const cv::Mat& picture, const ImageOptions& options) {
  const double white = picture.depth() == CV_16U ? 65535 : 255;
  cv::Mat whole, scaled;
  picture.convertTo(whole, CV_8U, 255 / white);
  if (!options.has_range()) return whole;
  const double scale = 255 / (options.high() - options.low());
  picture.convertTo(scaled, CV_8U, scale, -options.low() * scale);
  if (picture.channels() == 4) cv::mixChannels({whole}, {scaled}, {3, 3});
  return scaled;
}

}  // namespace detail

/// Reads an image file as an upright 8-bit BGR picture, `CV_8UC3`.
///
/// The EXIF orientation is applied. Grey files get three equal channels, 16-bit files are scaled (65535 becomes 255, or
/// the range that `options` give; without one, a warning where the values lie in less than a quarter of it), alpha is
/// blended over white (such a file is taken as it lies, without its orientation), of several pages the first is read.
/// Throws `c10::Error` where the file is missing, a folder, empty, truncated, not an image, or of floating-point
/// pixels. A JPEG or PNG counts as truncated when its end marker is missing.
inline cv::Mat read_image(const std::string& path, const ImageOptions& options = ImageOptions()) {
  TORCH_CHECK(options.low() <= options.high(), "range: got ", options.low(), " to ", options.high(),
              "; expected the value that is black, and a higher one that is white");
  const std::vector<uchar> bytes = detail::read_file(path);
  detail::check_complete(bytes, path);
  cv::Mat picture;
  // Only the unchanged form keeps alpha, which a JPEG never has; only the other is turned upright.
  if (!detail::is_jpeg(bytes)) picture = detail::decode_image(bytes, path, cv::IMREAD_UNCHANGED);
  if (picture.channels() != 4) picture = detail::decode_image(bytes, path, cv::IMREAD_COLOR | cv::IMREAD_ANYDEPTH);
  TORCH_CHECK(picture.depth() == CV_8U || picture.depth() == CV_16U, "image \"", path, "\": has pixels of type ",
              cv::typeToString(picture.type()),
              "; expected 8 or 16 bits a channel; scale it to 8 bits and save it again");
  if (picture.depth() == CV_16U && !options.has_range()) detail::warn_of_small_range(picture, path);
  if (picture.depth() == CV_16U || options.has_range()) picture = detail::scale_to_8_bits(picture, options);
  return picture.channels() == 4 ? detail::blend_over_white(picture) : picture;
}

}  // namespace sightglass
