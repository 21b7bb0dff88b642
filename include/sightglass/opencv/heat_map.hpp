#pragma once

#include <ATen/ATen.h>
#include <torch/arg.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <cmath>
#include <limits>
#include <string>

#include "sightglass/opencv/colour_bar.hpp"
#include "sightglass/opencv/colour_map.hpp"
#include "sightglass/opencv/detail/frame.hpp"

namespace sightglass {

/// Whether a bar beside a heat map tells what its colours stand for.
enum class ColourBar { none, right };

/// Options of `heat_map`, with chained setters. Sizes are in pixels.
struct HeatMapOptions {
  /// Of the whole picture.
  TORCH_ARG(cv::Size, size) = cv::Size(640, 320);
  /// Above the table; none by default.
  TORCH_ARG(std::string, title) = {};
  /// What the axes count, with the unit: "time, s".
  TORCH_ARG(std::string, x_label) = {};
  /// The same for the y axis.
  TORCH_ARG(std::string, y_label) = {};
  /// What the axes count, from the first column's left side to the last one's right, and from the lowest row's lower
  /// side to the highest one's upper; NaN: columns and rows from 0.
  TORCH_ARG(double, x_low) = std::numeric_limits<double>::quiet_NaN();
  /// See `x_low`.
  TORCH_ARG(double, x_high) = std::numeric_limits<double>::quiet_NaN();
  /// See `x_low`.
  TORCH_ARG(double, y_low) = std::numeric_limits<double>::quiet_NaN();
  /// See `x_low`.
  TORCH_ARG(double, y_high) = std::numeric_limits<double>::quiet_NaN();
  /// Whether ticks of x stand at whole numbers only.
  TORCH_ARG(Numbers, x_numbers) = Numbers::real;
  /// From the smallest finite value to the largest.
  TORCH_ARG(ColourMap, colour_map) = ColourMap::magma;
  /// Whether a bar beside the table tells the values.
  TORCH_ARG(ColourBar, colour_bar) = ColourBar::right;

 public:
  /// Both ends of the x axis.
  HeatMapOptions& x_range(double low, double high) { return x_low(low).x_high(high); }
  /// Both ends of the y axis.
  HeatMapOptions& y_range(double low, double high) { return y_low(low).y_high(high); }
};

namespace detail {

/// The table as pixels of one channel, 0 to 1 from its smallest to its largest finite value; row 0 is the lowest.
struct HeatTable {
  cv::Mat unit;
  cv::Mat finite;  // 8-bit, 0 where a value is NaN or infinite
  double low = 0;
  double high = 0;

  explicit HeatTable(const at::Tensor& values) {
    at::Tensor table = values.detach().to(at::kCPU, at::kDouble).flip(0);
    const at::Tensor known = table.isfinite();
    if (known.any().item<bool>()) {
      const at::Tensor found = table.masked_select(known);
      low = found.min().item<double>();
      high = found.max().item<double>();
    }
    table = at::where(known, table, at::full_like(table, low));
    table = (high > low ? (table - low) / (high - low) : at::zeros_like(table)).to(at::kFloat).contiguous();
    const int rows = static_cast<int>(table.size(0)), columns = static_cast<int>(table.size(1));
    unit = cv::Mat(rows, columns, CV_32FC1, table.data_ptr()).clone();
    const at::Tensor bytes = (known.to(at::kByte) * 255).contiguous();
    finite = cv::Mat(rows, columns, CV_8UC1, bytes.data_ptr()).clone();
  }
};

/// Enlarged so that each value stays one patch; many columns on few pixels are averaged.
inline cv::Mat fill_plot(const cv::Mat& picture, const cv::Size& size) {
  cv::Mat across, whole;
  const auto way = [](int from, int to) { return from > to ? cv::INTER_AREA : cv::INTER_NEAREST; };
  cv::resize(picture, across, {size.width, picture.rows}, 0, 0, way(picture.cols, size.width));
  cv::resize(across, whole, size, 0, 0, way(picture.rows, size.height));
  return whole;
}

inline FrameLabels heat_labels(const HeatMapOptions& options) {
  return {options.title(), options.x_label(), options.y_label()};
}

/// The frame of a table of `rows` and `columns` in a box; a colour bar is not in it.
inline Frame heat_frame(const cv::Rect& box, int64_t rows, int64_t columns, const HeatMapOptions& options) {
  const auto ends = [](double low, double high, int64_t count, Numbers numbers) {
    const double first = std::isnan(low) ? 0 : low, last = std::isnan(high) ? static_cast<double>(count) : high;
    return Axis{first, last > first ? last : first + 1, Scale::linear, numbers};
  };
  const Axis x = ends(options.x_low(), options.x_high(), columns, options.x_numbers());
  const Axis y = ends(options.y_low(), options.y_high(), rows, Numbers::real);
  return frame_in(box, x, y, heat_labels(options));
}

inline void draw_heat_map(cv::Mat& canvas, const cv::Rect& box, const at::Tensor& values,
                          const HeatMapOptions& options) {
  const HeatTable table(values);
  cv::Rect left = box;
  cv::Mat bar;
  if (options.colour_bar() == ColourBar::right) {
    const int height = heat_frame(box, values.size(0), values.size(1), options).plot.height + 20;
    if (height >= 40) bar = colour_bar(options.colour_map(), height, table.low, table.high);
    left.width = std::max(40, left.width - bar.cols + 6);
  }
  const Frame frame = heat_frame(left, values.size(0), values.size(1), options);
  const cv::Rect bar_box(frame.plot.br().x + 6, frame.plot.y - 10, bar.cols, bar.rows);
  const cv::Rect inside = bar_box & cv::Rect(0, 0, canvas.cols, canvas.rows);
  if (!bar.empty() && !inside.empty()) bar(inside - bar_box.tl()).copyTo(canvas(inside));
  draw_frame(canvas, left, frame, heat_labels(options), GridLines::none);
  cv::Mat colours = colourise(table.unit, options.colour_map());
  colours.setTo(cv::Scalar::all(200), table.finite == 0);
  fill_plot(colours, frame.plot.size()).copyTo(canvas(frame.plot));
}

}  // namespace detail

/// A table as coloured patches with axes: fastai's colourful dimension of `stats.hist(i)`, batches along x and
/// activations along y. Throws `c10::Error` for another shape, and for a size below 120 x 80.
///
/// @param values `[rows, columns]` of any type on any device; row 0 is the lowest. NaN and infinity are grey.
/// @return `CV_8UC3` BGR of the size that the options ask for.
inline cv::Mat heat_map(const at::Tensor& values, const HeatMapOptions& options = HeatMapOptions()) {
  TORCH_CHECK(values.defined() && values.dim() == 2 && values.numel() > 0,
              "values: ", values.defined() ? "have shape " + c10::str(values.sizes()) : std::string("are undefined"),
              "; expected [rows, columns], as stats.hist(i) gives them");
  const cv::Size size = options.size();
  TORCH_CHECK(size.width >= 120 && size.height >= 80, "size: got ", size.width, " x ", size.height,
              "; expected 120 x 80 pixels at least");
  cv::Mat canvas(size, CV_8UC3, cv::Scalar::all(255));
  detail::draw_heat_map(canvas, {0, 0, size.width, size.height}, values, options);
  return canvas;
}

}  // namespace sightglass
