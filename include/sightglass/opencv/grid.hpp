#pragma once

#include <c10/util/Exception.h>
#include <torch/arg.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "sightglass/opencv/preprocessing.hpp"
#include "sightglass/opencv/detail/text.hpp"

namespace sightglass {

/// One picture of a grid and the text under it. An empty picture leaves its place blank.
struct Tile {
  cv::Mat picture;
  std::string label = {};
};

/// Options of `grid`. Sizes are in pixels.
struct GridOptions {
  /// 0: as many as there are column titles; without titles, about as many as rows.
  TORCH_ARG(int, columns) = 0;
  /// The box that each picture is fitted into, its proportions kept; empty: the greatest width and height among them.
  /// A row is only as high as its highest picture.
  TORCH_ARG(cv::Size, cell) = {};
  TORCH_ARG(int, gap) = 12;
  TORCH_ARG(cv::Scalar, background) = cv::Scalar(255, 255, 255);
  /// One text above each column and one left of each row, or none.
  TORCH_ARG(std::vector<std::string>, column_titles) = {};
  TORCH_ARG(std::vector<std::string>, row_titles) = {};
};

namespace detail {

/// The size of a picture fitted into a cell, its proportions kept.
inline cv::Size fitted_size(const cv::Mat& picture, const cv::Size& cell) {
  if (picture.empty()) return {};
  const double scale =
      std::min(static_cast<double>(cell.width) / picture.cols, static_cast<double>(cell.height) / picture.rows);
  return {std::max(1, static_cast<int>(std::lround(picture.cols * scale))),
          std::max(1, static_cast<int>(std::lround(picture.rows * scale)))};
}

/// Where everything of a grid lies.
struct GridLayout {
  int columns = 0, left = 0;  // the first column's left side
  cv::Size cell;
  double text_height = 0;          // of all labels and titles
  int line = 0;                    // the height that a line of text takes
  std::vector<int> tops, heights;  // of each row's pictures
  cv::Size canvas;
};

inline int count_columns(const std::vector<Tile>& tiles, const GridOptions& options) {
  if (options.columns() > 0) return options.columns();
  if (!options.column_titles().empty()) return static_cast<int>(options.column_titles().size());
  return static_cast<int>(std::ceil(std::sqrt(static_cast<double>(tiles.size()))));
}

inline cv::Size cell_size(const std::vector<Tile>& tiles, const GridOptions& options) {
  cv::Size cell = options.cell();
  if (cell.empty())
    for (const Tile& tile : tiles)
      cell = {std::max(cell.width, tile.picture.cols), std::max(cell.height, tile.picture.rows)};
  TORCH_CHECK(!cell.empty(), "tiles: all ", tiles.size(),
              " pictures are empty; expected one picture at least, or a cell size");
  return cell;
}

/// One height for all texts: the smallest that any of them needs to fit.
inline double common_text_height(const std::vector<Tile>& tiles, const GridOptions& options, int width) {
  const double wanted = std::clamp(width / 22.0, 8.0, 16.0);
  double height = wanted;
  for (const Tile& tile : tiles) height = std::min(height, fitting_height(tile.label, width, wanted));
  for (const std::string& title : options.column_titles())
    height = std::min(height, fitting_height(title, width, wanted));
  return height;
}

inline GridLayout lay_out(const std::vector<Tile>& tiles, const GridOptions& options) {
  GridLayout layout;
  layout.columns = count_columns(tiles, options);
  const size_t columns = static_cast<size_t>(layout.columns), rows = (tiles.size() + columns - 1) / columns;
  const std::vector<std::string>&above = options.column_titles(), &beside = options.row_titles();
  TORCH_CHECK(above.empty() || above.size() == columns, "column titles: are ", above.size(),
              "; expected one for each of ", columns, " columns");
  TORCH_CHECK(beside.empty() || beside.size() == rows, "row titles: are ", beside.size(), "; expected one for each of ",
              rows, " rows");
  layout.cell = cell_size(tiles, options);
  layout.text_height = common_text_height(tiles, options, layout.cell.width);
  layout.line = static_cast<int>(std::lround(2.2 * layout.text_height));
  for (const std::string& title : beside) {
    const int width = static_cast<int>(std::ceil(Text{printable(title), layout.text_height}.width()));
    layout.left = std::max(layout.left, std::min(width, layout.cell.width) + options.gap());
  }
  layout.left += options.gap();
  int y = options.gap() + (above.empty() ? 0 : layout.line);
  for (size_t first = 0; first < tiles.size(); first += columns) {
    int height = 0, text = 0;
    for (size_t i = first; i < std::min(first + columns, tiles.size()); ++i) {
      height = std::max(height, fitted_size(tiles[i].picture, layout.cell).height);
      if (!tiles[i].label.empty()) text = layout.line;
    }
    layout.tops.push_back(y);
    layout.heights.push_back(height);
    y += height + text + options.gap();
  }
  layout.canvas = {layout.left + layout.columns * (layout.cell.width + options.gap()), y};
  return layout;
}

/// Draws a text in the middle of a piece of baseline that begins at `left`.
inline void draw_centred(cv::Mat& canvas, const std::string& text, cv::Point2d left, double width, double height,
                         const cv::Scalar& ink) {
  const Text shown = elide(text, width, height);
  draw(canvas, shown, {left.x + (width - shown.width()) / 2, left.y}, ink);
}

/// Copies a picture into the middle of a box of the canvas, scaled to fit.
inline void place(cv::Mat& canvas, const cv::Mat& picture, const cv::Rect& box) {
  const cv::Size size = fitted_size(picture, box.size());
  const cv::Point corner = box.tl() + cv::Point((box.width - size.width) / 2, (box.height - size.height) / 2);
  cv::Mat scaled;
  cv::resize(convert_channels(picture, ColourOrder::bgr, ColourOrder::bgr, 3), scaled, size, 0, 0,
             size.width < picture.cols ? cv::INTER_AREA : cv::INTER_LINEAR);
  scaled.copyTo(canvas(cv::Rect(corner, size)));
}

inline void draw_tiles(cv::Mat& canvas, const std::vector<Tile>& tiles, const GridLayout& layout, int gap,
                       const cv::Scalar& ink) {
  for (size_t i = 0; i < tiles.size(); ++i) {
    const size_t row = i / static_cast<size_t>(layout.columns);
    const int column = static_cast<int>(i) % layout.columns;
    const cv::Rect box(layout.left + column * (layout.cell.width + gap), layout.tops[row], layout.cell.width,
                       layout.heights[row]);
    if (!tiles[i].picture.empty()) place(canvas, tiles[i].picture, box);
    const cv::Point2d baseline(box.x, box.y + box.height + 1.6 * layout.text_height);
    draw_centred(canvas, tiles[i].label, baseline, box.width, layout.text_height, ink);
  }
}

inline void draw_titles(cv::Mat& canvas, const GridOptions& options, const GridLayout& layout, const cv::Scalar& ink) {
  cv::Point2d baseline(layout.left, options.gap() + 1.2 * layout.text_height);
  for (const std::string& title : options.column_titles()) {
    draw_centred(canvas, title, baseline, layout.cell.width, layout.text_height, ink);
    baseline.x += layout.cell.width + options.gap();
  }
  for (size_t row = 0; row < options.row_titles().size(); ++row) {
    const double middle = layout.tops[row] + layout.heights[row] / 2.0;
    const Text title = elide(options.row_titles()[row], layout.left - 2 * options.gap(), layout.text_height);
    draw(canvas, title, {static_cast<double>(options.gap()), middle + layout.text_height / 2}, ink);
  }
}

}  // namespace detail

/// Pictures side by side, row by row, each with its label under it.
///
/// Labels and titles that are too long are made smaller, then cut and ended by "..."; OpenCV's fonts are ASCII, other
/// characters become '?'. Throws `c10::Error` for no tiles, a picture of another type, negative options, or titles that
/// are not one for each column or row.
/// @param tiles `CV_8UC3` BGR or grey `CV_8UC1` pictures of any sizes.
/// @return `CV_8UC3` BGR.
inline cv::Mat grid(const std::vector<Tile>& tiles, const GridOptions& options = GridOptions()) {
  TORCH_CHECK(!tiles.empty(), "tiles: are none; expected one picture at least");
  TORCH_CHECK(options.columns() >= 0 && options.gap() >= 0, "grid: columns ", options.columns(), ", gap ",
              options.gap(), "; expected no negative numbers");
  for (size_t i = 0; i < tiles.size(); ++i)
    if (!tiles[i].picture.empty()) detail::check_picture(tiles[i].picture, ("tile " + std::to_string(i)).c_str());
  const detail::GridLayout layout = detail::lay_out(tiles, options);
  const cv::Scalar& paper = options.background();
  const cv::Scalar ink = cv::Scalar::all(0.114 * paper[0] + 0.587 * paper[1] + 0.299 * paper[2] > 127 ? 40 : 225);
  cv::Mat canvas(layout.canvas, CV_8UC3, paper);
  detail::draw_tiles(canvas, tiles, layout, options.gap(), ink);
  detail::draw_titles(canvas, options, layout, ink);
  return canvas;
}

}  // namespace sightglass
