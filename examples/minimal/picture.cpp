// A picture: a map drawn over the photograph that it explains.
#include <sightglass/opencv.hpp>
#include <sightglass/sightglass.hpp>

#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include <iostream>

namespace sg = sightglass;
namespace nn = torch::nn;

/// Its first score is how red a picture is, its second how green.
nn::Sequential colour_net() {
  nn::Conv2d conv(nn::Conv2dOptions(3, 2, 1).bias(false));
  nn::Linear fc(nn::LinearOptions(2, 2).bias(false));
  const torch::NoGradGuard no_gradients;
  conv->weight.copy_(torch::tensor({1.0, -1.0, 0.0, -1.0, 1.0, 0.0}).view({2, 3, 1, 1}));
  fc->weight.copy_(torch::eye(2));
  return nn::Sequential(conv, nn::ReLU(), nn::AdaptiveAvgPool2d(1), nn::Flatten(), fc);
}

int main() {
  nn::Sequential net = colour_net();
  net->eval();
  cv::Mat photo(96, 96, CV_8UC3, cv::Scalar(90, 90, 90));  // or sg::read_image("cat.jpg")
  cv::circle(photo, {60, 40}, 20, cv::Scalar(40, 40, 220), cv::FILLED);

  const torch::Tensor input = sg::to_tensor(photo, sg::imagenet(96));
  const sg::Explanation red = sg::explain(net, input, "0", sg::GradCam{}, sg::Target(0));
  cv::imwrite("red.png", sg::overlay(photo, red.map(0)));
  std::cout << "red.png: where the picture is red\n";
}
