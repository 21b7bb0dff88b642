#include "sightglass/opencv/dashboard.hpp"

#include <cmath>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;
using sg::dashboard;
using sg::DashboardOptions;

namespace {

/// Layers that fare well, but for those that `change` alters at each step.
template <class Change>
sg::StatsHistory history(int layers, int steps, Change change) {
  sg::StatsHistory stats;
  for (int step = 0; step < steps; ++step) {
    sg::BatchRecord record;
    record.batch = 20 * step;
    for (int i = 0; i < layers; ++i) {
      sg::LayerRecord layer;
      layer.name = "layer" + std::to_string(i);
      layer[sg::Figure::mean] = 0.1f;
      layer[sg::Figure::std] = 1.0f + 0.01f * static_cast<float>(i);
      layer[sg::Figure::near_zero] = 0.4f;
      change(layer, i, step);
      record.layers.push_back(layer);
    }
    stats.append(record);
  }
  return stats;
}

sg::StatsHistory healthy(int layers, int steps) {
  return history(layers, steps, [](sg::LayerRecord&, int, int) {});
}

/// Pixels of the colour in which warnings are told.
int alarm(const cv::Mat& picture) {
  cv::Mat mask;
  cv::inRange(picture, cv::Scalar(20, 20, 180), cv::Scalar(45, 45, 200), mask);
  return cv::countNonZero(mask);
}

/// Whether a column in the picture's right sixth has more coloured pixels than a list's swatches (4 a name) can have.
bool has_bar(const cv::Mat& picture) {
  const cv::Mat right = picture.colRange(picture.cols * 5 / 6, picture.cols);
  cv::Mat coloured, channels[3];
  cv::split(right, channels);
  cv::Mat most = cv::max(channels[0], cv::max(channels[1], channels[2]));
  cv::Mat least = cv::min(channels[0], cv::min(channels[1], channels[2]));
  coloured = (most - least) > 40;
  for (int x = 0; x < coloured.cols; ++x) {
    if (cv::countNonZero(coloured.col(x)) > 150) return true;
  }
  return false;
}

}  // namespace

TEST_CASE("layers that a list has room for are listed, more are a bar of colours") {
  CHECK_FALSE(has_bar(dashboard(healthy(5, 30))));
  CHECK_FALSE(has_bar(dashboard(healthy(18, 30))));
  CHECK_FALSE(has_bar(dashboard(healthy(19, 30))));  // 230 pixels, 12 each
  CHECK(has_bar(dashboard(healthy(20, 30))));
  CHECK(has_bar(dashboard(healthy(52, 30))));
}

TEST_CASE("a dashboard is as wide as asked for, and as high as its parts ask for") {
  const cv::Mat few = dashboard(healthy(3, 30), DashboardOptions().width(1000));
  CHECK(few.cols == 1000);
  const auto with_histograms = [](sg::LayerRecord& layer, int, int) { layer.histogram.assign(40, 2.f); };
  const cv::Mat maps = dashboard(history(3, 30, with_histograms), DashboardOptions().width(1000));
  CHECK(maps.rows > few.rows + 100);
  const auto with_gradients = [](sg::LayerRecord& layer, int, int) { layer[sg::Figure::gradient_norm] = 1.f; };
  CHECK(dashboard(history(3, 30, with_gradients), DashboardOptions().width(1000)).rows > few.rows + 100);
}

TEST_CASE("a healthy network has no warnings, a broken one tells them in red") {
  CHECK(alarm(dashboard(healthy(5, 30))) == 0);
  const auto dying = [](sg::LayerRecord& layer, int i, int step) {
    if (i == 2 && step > 10) layer[sg::Figure::near_zero] = 1.f;
  };
  const cv::Mat dead = dashboard(history(5, 30, dying));
  CHECK(alarm(dead) > 0);
  CHECK(dead.rows > dashboard(healthy(5, 30)).rows);
  const auto diverging = [](sg::LayerRecord& layer, int, int step) {
    if (step > 20) layer[sg::Figure::mean] = layer[sg::Figure::std] = NAN;
  };
  CHECK(alarm(dashboard(history(5, 30, diverging))) > 0);
}

TEST_CASE("of many warnings some are written out and the rest counted") {
  const auto dead = [](sg::LayerRecord& layer, int, int) { layer[sg::Figure::near_zero] = 1.f; };
  const sg::StatsHistory stats = history(50, 10, dead);
  CHECK(dashboard(stats, DashboardOptions().most_warnings(5)).rows <
        dashboard(stats, DashboardOptions().most_warnings(40)).rows);
}

TEST_CASE("no layers, no batches and one batch are dashboards too") {
  CHECK(dashboard(sg::StatsHistory()).cols == 1400);
  CHECK(dashboard(healthy(0, 5)).cols == 1400);
  CHECK(dashboard(healthy(3, 1)).cols == 1400);
  const auto odd = [](sg::LayerRecord& layer, int i, int) {
    layer.histogram.assign(i == 0 ? 0 : 10, 0.f);
    layer[sg::Figure::std] = INFINITY;
  };
  CHECK(dashboard(history(3, 1, odd)).cols == 1400);
}

TEST_CASE("a width that holds no charts is an error") {
  CHECK_THROWS_WITH(dashboard(healthy(1, 1), DashboardOptions().width(100)), ContainsSubstring("width: got 100"));
}
