#pragma once

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sightglass/opencv/axis.hpp"
#include "sightglass/opencv/detail/text.hpp"

/// The frame of a chart: axes with ticks, their labels, and a title.
namespace sightglass::detail {

struct FrameLabels {
  std::string title;
  std::string x;
  std::string y;
};

/// Whether lines lead from the ticks through the chart.
enum class GridLines { none, shown };

/// What lies inside of the frame, and its axes.
struct Frame {
  cv::Rect plot;
  Axis x;
  Axis y;

  /// The pixel of a point; y grows upwards.
  cv::Point2d at(double x_value, double y_value) const {
    return {plot.x + x.place(x_value) * plot.width, plot.y + (1 - y.place(y_value)) * plot.height};
  }
  std::vector<Tick> x_ticks() const { return x.ticks(std::max(2, plot.width / 60)); }
  std::vector<Tick> y_ticks() const { return y.ticks(std::max(2, plot.height / 32)); }
};

constexpr double tick_text = 8.5, label_text = 9.5, title_text = 11;
inline const cv::Scalar& chart_ink() {
  static const cv::Scalar ink(60, 60, 60);
  return ink;
}

/// Leaves room around the plot for what the labels and ticks ask for.
inline Frame frame_in(const cv::Rect& box, const Axis& x, const Axis& y, const FrameLabels& labels) {
  const int above = labels.title.empty() ? 10 : 28;
  const int below = 20 + (labels.x.empty() ? 4 : 18);
  Frame frame{{box.x, box.y + above, box.width, std::max(8, box.height - above - below)}, x, y};
  double widest = 0;
  for (const Tick& tick : frame.y_ticks()) widest = std::max(widest, Text{tick.label, tick_text}.width());
  const int left = static_cast<int>(std::ceil(widest)) + 8 + (labels.y.empty() ? 4 : 20);
  frame.plot.x += left;
  frame.plot.width = std::max(8, box.width - left - 14);
  return frame;
}

/// Draws a text from bottom to top, its middle at `centre`.
inline void draw_upright(cv::Mat& canvas, const Text& text, cv::Point2d centre) {
  const int length = static_cast<int>(std::ceil(text.width())) + 4, thickness = static_cast<int>(2 * text.height);
  cv::Mat flat(thickness, length, CV_8UC3, cv::Scalar::all(255)), upright;
  draw(flat, text, {2, 1.4 * text.height}, chart_ink());
  cv::rotate(flat, upright, cv::ROTATE_90_COUNTERCLOCKWISE);
  const cv::Rect box(static_cast<int>(centre.x) - thickness / 2, static_cast<int>(centre.y) - length / 2, thickness,
                     length);
  const cv::Rect inside = box & cv::Rect(0, 0, canvas.cols, canvas.rows);
  if (!inside.empty()) upright(inside - box.tl()).copyTo(canvas(inside));
}

inline void draw_ticks(cv::Mat& canvas, const Frame& frame, GridLines lines) {
  const cv::Scalar pale(232, 232, 232);
  const int right = frame.plot.br().x, bottom = frame.plot.br().y;
  double taken = frame.plot.x - 20;  // labels do not run into each other
  for (const Tick& tick : frame.x_ticks()) {
    const int column = std::min(right - 1, static_cast<int>(frame.at(tick.value, frame.y.low).x));
    if (lines == GridLines::shown) cv::line(canvas, {column, frame.plot.y}, {column, bottom - 1}, pale);
    cv::line(canvas, {column, bottom}, {column, bottom + 3}, chart_ink());
    const Text text{tick.label, tick_text};
    const double left = column - text.width() / 2;
    if (left < taken + 6) continue;
    draw(canvas, text, {left, bottom + 6 + text.height}, chart_ink());
    taken = left + text.width();
  }
  for (const Tick& tick : frame.y_ticks()) {
    const int row = std::max(frame.plot.y, static_cast<int>(frame.at(frame.x.low, tick.value).y) - 1);
    if (lines == GridLines::shown) cv::line(canvas, {frame.plot.x, row}, {right - 1, row}, pale);
    cv::line(canvas, {frame.plot.x - 4, row}, {frame.plot.x - 1, row}, chart_ink());
    const Text text{tick.label, tick_text};
    draw(canvas, text, {frame.plot.x - 7 - text.width(), row + text.height / 2}, chart_ink());
  }
}

/// Draws ticks, labels and the title around the plot, in `box` of the canvas.
inline void draw_frame(cv::Mat& canvas, const cv::Rect& box, const Frame& frame, const FrameLabels& labels,
                       GridLines lines) {
  draw_ticks(canvas, frame, lines);
  const cv::Rect around(frame.plot.x - 1, frame.plot.y - 1, frame.plot.width + 2, frame.plot.height + 2);
  cv::rectangle(canvas, around, cv::Scalar::all(150));
  const double x_middle = frame.plot.x + frame.plot.width / 2.0, y_middle = frame.plot.y + frame.plot.height / 2.0;
  if (!labels.x.empty()) {
    const Text text = elide(labels.x, frame.plot.width, label_text);
    draw(canvas, text, {x_middle - text.width() / 2, box.br().y - 8.0}, chart_ink());
  }
  if (!labels.y.empty()) draw_upright(canvas, elide(labels.y, frame.plot.height, label_text), {box.x + 10.0, y_middle});
  if (labels.title.empty()) return;
  const Text title = elide(labels.title, frame.plot.width, title_text);
  draw(canvas, title, {static_cast<double>(frame.plot.x), box.y + 18.0}, cv::Scalar::all(20));
}

}  // namespace sightglass::detail
