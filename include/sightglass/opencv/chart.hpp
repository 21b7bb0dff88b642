#pragma once

#include <c10/util/Exception.h>
#include <torch/arg.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "sightglass/opencv/colour_map.hpp"
#include "sightglass/opencv/detail/frame.hpp"
#include "sightglass/opencv/detail/names.hpp"

namespace sightglass {

/// One line of a chart. Where x or y is NaN or infinite, the line has a gap.
struct Series {
  std::string name;
  std::vector<double> x;
  std::vector<double> y;                  ///< as many as `x`
  std::optional<cv::Scalar> colour = {};  ///< BGR; by default one for each place in the list
};

/// Where a chart names its lines.
enum class Legend { right, none };

/// Options of `chart`, with chained setters. Sizes are in pixels.
struct ChartOptions {
  TORCH_ARG(cv::Size, size) = cv::Size(720, 400);
  TORCH_ARG(std::string, title) = {};
  /// What the axes count, with the unit: "time, s".
  TORCH_ARG(std::string, x_label) = {};
  TORCH_ARG(std::string, y_label) = {};
  TORCH_ARG(Scale, x_scale) = Scale::linear;
  TORCH_ARG(Scale, y_scale) = Scale::linear;
  TORCH_ARG(Numbers, x_numbers) = Numbers::real;
  /// Where the y axis begins and ends; NaN: as the values ask for.
  TORCH_ARG(double, y_low) = std::numeric_limits<double>::quiet_NaN();
  TORCH_ARG(double, y_high) = std::numeric_limits<double>::quiet_NaN();
  TORCH_ARG(Legend, legend) = Legend::right;
};

/// A colour for the place of one thing among `count` that have an order, such as a network's layers: from dark blue,
/// the first, over green to red, the last.
inline cv::Scalar depth_colour(size_t index, size_t count) {
  const double share = count < 2 ? 0 : static_cast<double>(index) / static_cast<double>(count - 1);
  const cv::Mat level(1, 1, CV_32FC1, cv::Scalar(0.06 + 0.88 * share));
  return 0.85 * cv::Scalar(colourise(level, ColourMap::turbo).at<cv::Vec3b>(0));
}

namespace detail {

/// Colours of things without an order: matplotlib's ten.
inline cv::Scalar list_colour(size_t index) {
  constexpr std::array<std::array<int, 3>, 10> rgb = {{{31, 119, 180},
                                                       {255, 127, 14},
                                                       {44, 160, 44},
                                                       {214, 39, 40},
                                                       {148, 103, 189},
                                                       {140, 86, 75},
                                                       {227, 119, 194},
                                                       {127, 127, 127},
                                                       {188, 189, 34},
                                                       {23, 190, 207}}};
  const std::array<int, 3>& colour = rgb[index % rgb.size()];
  return {static_cast<double>(colour[2]), static_cast<double>(colour[1]), static_cast<double>(colour[0])};
}

inline cv::Scalar colour_of(const std::vector<Series>& lines, size_t index) {
  return lines[index].colour.value_or(list_colour(index));
}

constexpr int sub_pixel_bits = 4;
inline cv::Point sub_pixel(cv::Point2d point) {
  const auto fixed = [](double value) {
    return static_cast<int>(std::lround(std::clamp(value, -2e4, 2e4) * (1 << sub_pixel_bits)));
  };
  return {fixed(point.x), fixed(point.y)};
}

/// Draws one line into the plot and nowhere else; a point between two gaps is a dot.
inline void draw_line(cv::Mat& canvas, const Frame& frame, const Series& line, const cv::Scalar& colour) {
  cv::Mat inside = canvas(frame.plot);
  std::vector<cv::Point> piece;
  const auto finish = [&] {
    if (piece.size() == 1) cv::circle(inside, piece[0], 2 << sub_pixel_bits, colour, cv::FILLED, cv::LINE_AA, 4);
    if (piece.size() > 1) cv::polylines(inside, piece, false, colour, 1, cv::LINE_AA, sub_pixel_bits);
    piece.clear();
  };
  for (size_t i = 0; i < line.x.size(); ++i) {
    if (!frame.x.takes(line.x[i]) || !frame.y.takes(line.y[i])) {
      finish();
    } else {
      piece.push_back(sub_pixel(frame.at(line.x[i], line.y[i]) - cv::Point2d(frame.plot.tl()) - cv::Point2d(0.5, 0.5)));
    }
  }
  finish();
}

inline std::vector<std::string> names_of(const std::vector<Series>& lines) {
  std::vector<std::string> names;
  names.reserve(lines.size());
  for (const Series& line : lines) names.push_back(line.name);
  return names;
}

/// How many lines a legend of this height has room for.
inline int legend_rows(int height) { return std::max(1, height / 12); }

/// Names in their colours, a line each, in several columns where they are too many for the height.
inline void draw_legend(cv::Mat& canvas, const cv::Rect& box, const std::vector<Series>& lines) {
  if (lines.empty() || box.width < 40) return;
  const int count = static_cast<int>(lines.size());
  const int rows = std::min(count, legend_rows(box.height));
  const int columns = (count + rows - 1) / rows, width = box.width / columns;
  const double pitch = std::min(18.0, static_cast<double>(box.height) / rows);
  const std::vector<std::string> names = told_apart(names_of(lines), width - 26, tick_text);
  for (int i = 0; i < count; ++i) {
    const int left = box.x + i / rows * width;
    const double middle = box.y + (i % rows + 0.5) * pitch;
    const cv::Rect swatch(left, static_cast<int>(middle) - 2, 14, 4);
    cv::rectangle(canvas, swatch, colour_of(lines, static_cast<size_t>(i)), cv::FILLED);
    const Text name{names[static_cast<size_t>(i)], tick_text};
    draw(canvas, name, {left + 20.0, middle + name.height / 2}, chart_ink());
  }
}

/// How wide a legend has to be for its longest name.
inline int legend_width(const std::vector<Series>& lines, int height) {
  double widest = 0;
  for (const Series& line : lines) widest = std::max(widest, Text{printable(line.name), tick_text}.width());
  const int rows = legend_rows(height), columns = (static_cast<int>(lines.size()) + rows - 1) / rows;
  return std::max(1, columns) * (static_cast<int>(std::ceil(widest)) + 38);
}

/// Draws a chart without its legend into a box of the canvas.
inline void draw_chart(cv::Mat& canvas, const cv::Rect& box, const std::vector<Series>& lines,
                       const ChartOptions& options) {
  std::vector<double> all_x, all_y;
  for (const Series& line : lines) {
    TORCH_CHECK(line.x.size() == line.y.size(), "series \"", line.name, "\": has ", line.x.size(), " x and ",
                line.y.size(), " y; expected as many of both");
    all_x.insert(all_x.end(), line.x.begin(), line.x.end());
    all_y.insert(all_y.end(), line.y.begin(), line.y.end());
  }
  Axis x = axis_over(all_x, options.x_scale());
  x.numbers = options.x_numbers();
  const Axis y = axis_over(all_y, options.y_scale(), options.y_low(), options.y_high());
  const FrameLabels labels{options.title(), options.x_label(), options.y_label()};
  const Frame frame = frame_in(box, x, y, labels);
  draw_frame(canvas, box, frame, labels, GridLines::shown);
  for (size_t i = 0; i < lines.size(); ++i) draw_line(canvas, frame, lines[i], colour_of(lines, i));
}

}  // namespace detail

/// Lines over a common x, on white, with axes, ticks, a title and a legend.
///
/// The axes show all finite values (on a logarithmic axis all above 0); where a value is NaN or infinite, its line has
/// a gap. Texts are ASCII, other characters become '?'; titles that are too long are cut and ended by "...", names of
/// lines are cut where they are alike. Throws `c10::Error` where a line has not as many x as y, and for a size below
/// 120 x 80.
/// @return `CV_8UC3` BGR of the size that the options ask for.
inline cv::Mat chart(const std::vector<Series>& lines, const ChartOptions& options = ChartOptions()) {
  const cv::Size size = options.size();
  TORCH_CHECK(size.width >= 120 && size.height >= 80, "size: got ", size.width, " x ", size.height,
              "; expected 120 x 80 pixels at least");
  cv::Mat canvas(size, CV_8UC3, cv::Scalar::all(255));
  const bool named = options.legend() == Legend::right &&
                     std::any_of(lines.begin(), lines.end(), [](const Series& line) { return !line.name.empty(); });
  const int beside = named ? std::min(detail::legend_width(lines, size.height - 60), size.width * 2 / 5) : 0;
  detail::draw_chart(canvas, {0, 0, size.width - beside, size.height}, lines, options);
  if (named) detail::draw_legend(canvas, {size.width - beside + 4, 28, beside - 4, size.height - 60}, lines);
  return canvas;
}

}  // namespace sightglass
