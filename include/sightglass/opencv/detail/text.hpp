#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <sstream>
#include <string>
#include <vector>

namespace sightglass {
namespace detail {

/// The part of a text that OpenCV's fonts can draw: each other character becomes one '?', white space a blank.
inline std::string printable(const std::string& text) {
  std::string result;
  for (const char character : text) {
    const unsigned char byte = static_cast<unsigned char>(character);
    if ((byte & 0xC0U) == 0x80U) continue;  // the further bytes of a UTF-8 character
    const bool blank = byte >= '\t' && byte <= '\r';
    result += blank ? ' ' : (byte < 0x20 || byte > 0x7E ? '?' : character);
  }
  return result;
}

/// A text in one of OpenCV's line fonts, sized by the height of its capitals in pixels.
struct Text {
  std::string text;
  double height = 10;

  // The font is drawn on a grid of capitals 21 units high, so this is its scale for the wanted height.
  double scale() const { return height / 21; }
  double width() const { return cv::getTextSize(text, cv::FONT_HERSHEY_SIMPLEX, 8 * scale(), 1, nullptr).width / 8.0; }
};

/// The height at which a text fits a width: the given one, or less, but four fifths of it at least.
inline double fitting_height(const std::string& text, double width, double height) {
  const double wanted = Text{printable(text), height}.width();
  return wanted <= width ? height : std::max(height * width / wanted, height * 0.8);
}

/// The text cut to a width and ended by "..." where it is too long.
inline Text elide(const std::string& text, double width, double height) {
  Text result{printable(text), height};
  std::string kept = result.text;
  while (result.width() > width + 0.5 && !kept.empty()) {  // half a pixel, as `fitting_height` may be off by rounding
    kept.pop_back();
    while (!kept.empty() && kept.back() == ' ') kept.pop_back();
    result.text = kept + "...";
  }
  return result;
}

/// The text as lines that fit a width, broken between words (a longer word is cut and ended by "...").
inline std::vector<std::string> wrap(const std::string& text, double width, double height) {
  std::vector<std::string> lines;
  std::istringstream words(printable(text));
  for (std::string word; words >> word;) {
    const std::string longer = lines.empty() ? word : lines.back() + " " + word;
    if (!lines.empty() && Text{longer, height}.width() <= width) {
      lines.back() = longer;
    } else {
      lines.push_back(elide(word, width, height).text);
    }
  }
  return lines;
}

/// Draws a text with its baseline's left end at `origin`. It is drawn four times as large and made smaller, because
/// OpenCV's strokes are whole pixels wide and its letters stand on whole pixels.
inline void draw(cv::Mat& canvas, const Text& text, cv::Point2d origin, const cv::Scalar& colour) {
  constexpr int fine = 4;
  const int left = static_cast<int>(std::floor(origin.x)) - 2,
            top = static_cast<int>(std::floor(origin.y - 1.3 * text.height));
  const cv::Rect box = cv::Rect(left, top, static_cast<int>(std::ceil(text.width())) + 5,
                                static_cast<int>(std::ceil(1.9 * text.height)));
  const cv::Rect inside = box & cv::Rect(0, 0, canvas.cols, canvas.rows);
  if (inside.empty()) return;
  cv::Mat ink(box.size() * fine, CV_8UC1, cv::Scalar(0));
  const int stroke = std::max(1, static_cast<int>(std::lround(fine * text.height * 0.115)));
  const cv::Point start(static_cast<int>(std::lround((origin.x - left) * fine)),
                        static_cast<int>(std::lround((origin.y - top) * fine)));
  cv::putText(ink, text.text, start, cv::FONT_HERSHEY_SIMPLEX, fine * text.scale(), cv::Scalar(255), stroke,
              cv::LINE_AA);
  cv::Mat weights;
  ink.convertTo(weights, CV_32F, 1 / 255.0);
  cv::resize(weights, weights, box.size(), 0, 0, cv::INTER_AREA);
  weights = weights(inside - box.tl());
  cv::Mat target = canvas(inside);
  cv::blendLinear(cv::Mat(inside.size(), CV_8UC3, colour), target.clone(), weights, 1 - weights, target);
}

}  // namespace detail
}  // namespace sightglass
