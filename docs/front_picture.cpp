// front_picture MODEL PICTURE RECORDS OUT: the README's picture. MODEL is the TorchScript file and PICTURE one of the
// scenes that `shapes` writes, RECORDS the JSON lines of `watch`.

#include <sightglass/opencv.hpp>
#include <torch/script.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>

namespace sg = sightglass;

namespace {

/// A picture on white, the text under it.
cv::Mat labelled(const cv::Mat& picture, const std::string& label, int side) {
  return sg::grid({{picture, label}}, sg::GridOptions().cell({side, side}));
}

/// On the left the scene and its map, on the right as much of the dashboard as is as high.
cv::Mat draw(const std::string& model, const std::string& picture, const std::string& records) {
  constexpr int side = 323, width = 960;
  torch::jit::Module net = torch::jit::load(model);
  net.eval();
  const cv::Mat scene = sg::read_image(picture);
  const torch::Tensor input = sg::to_tensor(scene, sg::imagenet(scene.rows, scene.cols));
  const sg::Explanation why = sg::explain(net, input, "features", sg::GradCam{});
  const cv::Mat map = sg::overlay(scene, why.map(0));

  cv::Mat left;
  cv::vconcat(labelled(scene, "a scene", side), labelled(map, "what the network looks at", side), left);
  const cv::Mat right = sg::dashboard(sg::read_stats(records), sg::DashboardOptions().title("a training").width(width));
  const int height = std::min(left.rows, right.rows);
  cv::Mat canvas(left.rows, left.cols + width, CV_8UC3, cv::Scalar::all(255));
  left.copyTo(canvas.colRange(0, left.cols));
  right.rowRange(0, height).copyTo(canvas(cv::Rect(left.cols, 0, width, height)));
  return canvas;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    TORCH_CHECK(argc == 5, "usage: front_picture MODEL PICTURE RECORDS OUT");
    cv::imwrite(argv[4], draw(argv[1], argv[2], argv[3]), {cv::IMWRITE_JPEG_QUALITY, 90});
  } catch (const std::exception& error) {
    std::cerr << "front_picture: " << error.what() << '\n';
    return 1;
  }
}
