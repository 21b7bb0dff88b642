#include "sightglass/opencv/detail/frame.hpp"

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

namespace {

const cv::Rect box(10, 20, 300, 200);
const sgd::FrameLabels labels{"a title", "batch", "activation"};

sgd::Frame frame(const sgd::FrameLabels& with = labels) {
  return sgd::frame_in(box, {0, 10, sightglass::Scale::linear, sightglass::Numbers::real},
                       {0, 1, sightglass::Scale::linear, sightglass::Numbers::real}, with);
}

bool is_blank(const cv::Mat& part) { return cv::norm(part, cv::Mat(part.size(), CV_8UC3, cv::Scalar::all(255))) == 0; }

}  // namespace

TEST_CASE("a frame leaves room for its labels, and more where there are more") {
  const cv::Rect plot = frame().plot, bare = frame({}).plot;
  CHECK((plot & box) == plot);
  CHECK((bare & box) == bare);
  CHECK(bare.area() > plot.area());
}

TEST_CASE("points stand where the axes say, y upwards") {
  const sgd::Frame found = frame();
  CHECK(found.at(0, 0).x == Approx(found.plot.x));
  CHECK(found.at(0, 0).y == Approx(found.plot.br().y));
  CHECK(found.at(10, 1).x == Approx(found.plot.br().x));
  CHECK(found.at(10, 1).y == Approx(found.plot.y));
}

TEST_CASE("a frame is drawn around the plot, inside of its box, with all its labels") {
  cv::Mat canvas(240, 320, CV_8UC3, cv::Scalar::all(255));
  const sgd::Frame found = frame();
  sgd::draw_frame(canvas, box, found, labels, sgd::GridLines::none);
  const cv::Rect plot = found.plot;
  CHECK(is_blank(canvas(plot)));
  CHECK_FALSE(is_blank(canvas(cv::Rect(box.x, box.y, box.width, plot.y - box.y - 2))));  // title
  CHECK_FALSE(is_blank(canvas(cv::Rect(plot.x, box.br().y - 20, plot.width, 20))));      // x label
  CHECK_FALSE(is_blank(canvas(cv::Rect(box.x, plot.y, 18, plot.height))));               // y label
  CHECK_FALSE(is_blank(canvas(cv::Rect(plot.x, plot.br().y + 4, plot.width, 12))));      // x ticks
  CHECK(is_blank(canvas.rowRange(0, box.y)));
  CHECK(is_blank(canvas.rowRange(box.br().y + 1, canvas.rows)));
  CHECK(is_blank(canvas.colRange(0, box.x - 1)));
  CHECK(is_blank(canvas.colRange(box.br().x, canvas.cols)));
}

TEST_CASE("grid lines lead from the ticks through the plot") {
  cv::Mat canvas(240, 320, CV_8UC3, cv::Scalar::all(255));
  const sgd::Frame found = frame();
  sgd::draw_frame(canvas, box, found, labels, sgd::GridLines::shown);
  CHECK_FALSE(is_blank(canvas(found.plot)));
}
