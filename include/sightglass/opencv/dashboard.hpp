#pragma once

#include <ATen/ATen.h>
#include <torch/arg.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/opencv/chart.hpp"
#include "sightglass/opencv/heat_map.hpp"
#include "sightglass/opencv/detail/depth_legend.hpp"
#include "sightglass/opencv/detail/names.hpp"
#include "sightglass/train/diagnosis.hpp"

namespace sightglass {

/// Options of `dashboard`, with chained setters.
struct DashboardOptions {
  TORCH_ARG(std::string, title) = "activations";
  /// In pixels; the height is what the layers and warnings ask for.
  TORCH_ARG(int, width) = 1400;
  /// The range of the histograms, as it was recorded.
  TORCH_ARG(double, histogram_low) = 0;
  TORCH_ARG(double, histogram_high) = 10;
  TORCH_ARG(DiagnosisOptions, diagnosis) = {};
  /// Warnings that are written out; of more, the number is told.
  TORCH_ARG(int, most_warnings) = 30;
};

namespace detail {

inline std::vector<double> numbers_of(const at::Tensor& values) {
  const at::Tensor doubles = values.to(at::kCPU, at::kDouble).contiguous();
  return {doubles.data_ptr<double>(), doubles.data_ptr<double>() + doubles.numel()};
}

/// Lays the parts of a dashboard out from above to below, then draws them.
class Dashboard {
 public:
  Dashboard(const StatsHistory& stats, const DashboardOptions& options)
      : stats_(stats), options_(options), batches_(numbers_of(stats.batches())) {
    for (size_t i = 0; i < stats_.size(); ++i) layers_.push_back(stats_.layer(i));
    shorten_names();
  }

  cv::Mat draw() {
    add_title();
    add_charts();
    add_colourful_dimensions();
    add_warnings();
    cv::Mat canvas(y_ + margin, options_.width(), CV_8UC3, cv::Scalar::all(255));
    for (const auto& part : parts_) part(canvas);
    return canvas;
  }

 private:
  static constexpr int margin = 16, chart_height = 270, map_height = 150, least_map_width = 240;

  /// A part is drawn once the canvas has its height.
  void add(int height, std::function<void(cv::Mat& canvas, int top)> part) {
    parts_.push_back([top = y_, part = std::move(part)](cv::Mat& canvas) { part(canvas, top); });
    y_ += height;
  }
  void add_text(const std::string& text, double height, const cv::Scalar& ink, int left = margin) {
    add(static_cast<int>(2 * height), [=](cv::Mat& canvas, int top) {
      const Text shown = elide(text, canvas.cols - left - margin, height);
      detail::draw(canvas, shown, {static_cast<double>(left), top + 1.4 * height}, ink);
    });
  }

  /// Where a name is too long for a title, what all of them begin with is said once, in the dashboard's own.
  void shorten_names() {
    names_ = stats_.names();
    const size_t shared = shared_beginning(names_);
    const bool fit = std::none_of(names_.begin(), names_.end(), [](const std::string& name) {
      return Text{printable(name), title_text}.width() > least_map_width - 60;
    });
    if (shared == 0 || fit) return;
    within_ = names_.front().substr(0, shared - 1);
    for (std::string& name : names_) name.erase(0, shared);
  }

  void add_title() {
    std::string text = options_.title() + ": " + std::to_string(layers_.size()) + " layers" +
                       (within_.empty() ? "" : " of " + within_) + ", " + std::to_string(batches_.size()) +
                       " recorded batches";
    if (!batches_.empty()) {
      text += " (" + std::to_string(std::llround(batches_.front())) + " to " +
              std::to_string(std::llround(batches_.back())) + ")";
    }
    add_text(text, 14, cv::Scalar::all(20));
    y_ += 4;
  }

  /// One line a layer; none where the figure was not recorded.
  std::vector<Series> lines(Figure figure) const {
    std::vector<Series> all;
    for (size_t i = 0; i < layers_.size(); ++i) {
      const at::Tensor values = layers_[i].figure(figure);
      if (values.defined()) all.push_back({names_[i], batches_, numbers_of(values), colour(i)});
    }
    return all;
  }
  cv::Scalar colour(size_t layer) const { return depth_colour(layer, layers_.size()); }

  /// Logarithmic where the values are so far apart that differences would show the largest only.
  static Scale scale_for(const std::vector<Series>& lines) {
    double least = INFINITY, greatest = 0;
    for (const Series& line : lines) {
      for (const double value : line.y) {
        if (!std::isfinite(value) || value <= 0) continue;
        least = std::min(least, value);
        greatest = std::max(greatest, value);
      }
    }
    return greatest > 100 * least ? Scale::logarithmic : Scale::linear;
  }

  struct Chart {
    std::vector<Series> lines;
    ChartOptions options;
  };

  void add_chart(std::vector<Chart>& charts, Figure figure, const std::string& title,
                 const std::string& y_label) const {
    Chart made{lines(figure), ChartOptions().title(title).y_label(y_label).x_label("batch")};
    if (made.lines.empty()) return;
    made.options.x_numbers(Numbers::whole);
    const bool share =
        figure == Figure::near_zero || figure == Figure::dead_channels || figure == Figure::gradient_zeros;
    if (share) made.options.y_low(0).y_high(1.02);
    if (!share && figure != Figure::mean) made.options.y_scale(scale_for(made.lines));
    charts.push_back(std::move(made));
  }

  void add_charts() {
    std::vector<Chart> charts;
    add_chart(charts, Figure::mean, "mean", "activation");
    add_chart(charts, Figure::std, "standard deviation", "activation");
    add_chart(charts, Figure::near_zero, "near zero or negative", "share of activations");
    add_chart(charts, Figure::dead_channels, "dead channels", "share of channels");
    add_chart(charts, Figure::gradient_norm, "gradient", "norm");
    add_chart(charts, Figure::update_ratio, "update of the weights", "norm / norm of weights");
    const std::vector<Series> named = lines(Figure::mean);
    const int rows = (static_cast<int>(charts.size()) + 2) / 3, height = rows * chart_height;
    if (rows == 0) return;
    const int legend = std::min(legend_width({longest_of(named)}, height), std::max(160, options_.width() / 6));
    const int width = (options_.width() - 2 * margin - legend) / 3;
    add(height, [=](cv::Mat& canvas, int top) {
      for (size_t i = 0; i < charts.size(); ++i) {
        const int row = static_cast<int>(i) / 3, column = static_cast<int>(i) % 3;
        draw_chart(canvas, {margin + column * width, top + row * chart_height, width, chart_height}, charts[i].lines,
                   charts[i].options);
      }
      draw_names(canvas, {margin + 3 * width + 8, top + 28, legend - 8, height - 40}, named);
    });
    y_ += 8;
  }

  static Series longest_of(const std::vector<Series>& lines) {
    const auto width = [](const Series& line) { return Text{printable(line.name), tick_text}.width(); };
    return *std::max_element(lines.begin(), lines.end(),
                             [&](const Series& a, const Series& b) { return width(a) < width(b); });
  }

  /// A line a layer, or, where they are too many, their colours in a bar.
  static void draw_names(cv::Mat& canvas, const cv::Rect& box, const std::vector<Series>& lines) {
    if (static_cast<int>(lines.size()) <= legend_rows(box.height)) {
      draw_legend(canvas, box, lines);
    } else {
      draw_depth_legend(canvas, box, names_of(lines));
    }
  }

  HeatMapOptions map_options() const {
    HeatMapOptions options;
    options.title("layer").x_numbers(Numbers::whole).colour_bar(ColourBar::none);
    const double step = batches_.size() > 1 ? batches_[1] - batches_[0] : 1;
    return options.x_range(batches_.front(), batches_.back() + step)
        .y_range(options_.histogram_low(), options_.histogram_high());
  }

  void add_colourful_dimensions() {
    std::vector<size_t> recorded;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].histograms().defined() && !batches_.empty()) recorded.push_back(i);
    }
    if (recorded.empty()) return;
    add_text(
        "how activations are distributed: batches along x, activations along y, log(1 + count) from black to light",
        label_text + 1, cv::Scalar::all(20));
    const int inner = options_.width() - 2 * margin;
    const int columns = std::clamp(inner / least_map_width, 1, static_cast<int>(std::max<size_t>(recorded.size(), 4)));
    const int rows = (static_cast<int>(recorded.size()) + columns - 1) / columns;
    const HeatMapOptions options = map_options();
    const cv::Rect first(0, 0, inner / columns, map_height);
    std::vector<std::string> titles;
    titles.reserve(recorded.size());
    for (const size_t layer : recorded) titles.push_back(names_[layer]);
    titles = told_apart(titles, heat_frame(first, 1, 1, options).plot.width, title_text);
    add(rows * map_height, [this, recorded, columns, first, options, titles](cv::Mat& canvas, int top) {
      for (size_t i = 0; i < recorded.size(); ++i) {
        const int row = static_cast<int>(i) / columns, column = static_cast<int>(i) % columns;
        const cv::Rect box = first + cv::Point(margin + column * first.width, top + row * map_height);
        draw_heat_map(canvas, box, stats_.hist(recorded[i]), HeatMapOptions(options).title(titles[i]));
      }
    });
    y_ += 8;
  }

  void add_warnings() {
    constexpr double height = 10.5;
    const std::vector<Finding> findings = diagnose(stats_, options_.diagnosis());
    const cv::Scalar alarm(30, 30, 190), fine(60, 130, 40);
    if (findings.empty()) return add_text("no warnings", 12, fine);
    add_text(findings.size() == 1 ? "1 warning" : std::to_string(findings.size()) + " warnings", 12, alarm);
    const size_t shown = std::min(findings.size(), static_cast<size_t>(std::max(0, options_.most_warnings())));
    for (size_t i = 0; i < shown; ++i) {
      const auto& names = stats_.names();
      const auto place = std::find(names.begin(), names.end(), findings[i].layer) - names.begin();
      add(0, [this, place](cv::Mat& canvas, int top) {
        cv::rectangle(canvas, cv::Rect(margin + 2, top + 8, 10, 8), colour(static_cast<size_t>(place)), cv::FILLED);
      });
      for (const std::string& line : wrap(findings[i].text, options_.width() - 2 * margin - 20, height))
        add_text(line, height, chart_ink(), margin + 20);
    }
    if (shown < findings.size())
      add_text("and " + std::to_string(findings.size() - shown) + " more", height, chart_ink(), margin + 20);
  }

  const StatsHistory& stats_;
  const DashboardOptions& options_;
  std::vector<double> batches_;
  std::vector<LayerStats> layers_;
  std::vector<std::string> names_;  // as they are shown
  std::string within_;              // what stood before each, without its dot
  int y_ = margin / 2;
  std::vector<std::function<void(cv::Mat&)>> parts_;
};

}  // namespace detail

/// One picture of how a network learns: mean, standard deviation and near-zero share of all layers, dead channels,
/// gradients and updates where they were recorded, each layer's distribution (its colourful dimension) where histograms
/// were, and under them the warnings of `diagnose` in words. Lines are coloured by depth, from blue to red; where there
/// are more than a list can name, a bar shows the colours from the first layer to the last. Names that are too long
/// lose the beginning that all share, and their middle, so that each stays another. Throws `c10::Error` for a width
/// below 600.
///
/// @param stats an `ActivationStats`, or what `read_stats` gives; may be empty.
/// @return `CV_8UC3` BGR, as wide as the options say and as high as it has to be.
inline cv::Mat dashboard(const StatsHistory& stats, const DashboardOptions& options = DashboardOptions()) {
  TORCH_CHECK(options.width() >= 600, "width: got ", options.width(), " pixels; expected 600 at least");
  return detail::Dashboard(stats, options).draw();
}

}  // namespace sightglass
