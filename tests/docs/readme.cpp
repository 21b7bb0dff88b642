#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/scripted.hpp"
#include "scratch.hpp"

// The block's includes are there already; its `main` becomes a function.
#include <sightglass/opencv.hpp>
#define main() \
  unused();    \
  void readme_program()

#include <sightglass/sightglass.hpp>
#include <sightglass/opencv.hpp>
#include <torch/script.h>
#include <iostream>
namespace sg = sightglass;

int main() {
  torch::jit::Module net = torch::jit::load("resnet18.pt");  // or a torch::nn model of yours, as it is
  net.eval();
  cv::Mat photo = sg::read_image("cat_dog.jpg");
  torch::Tensor input = sg::to_tensor(photo, sg::imagenet(224));

  sg::Capture stored(net, "layer4");  // a hook: while it lives, it keeps what layer4 gives
  torch::Tensor scores = net.forward({input}).toTensor();
  std::cout << stored.output().sizes() << '\n';  // [1, 512, 7, 7]

  sg::Explanation cat = sg::explain(net, input, "layer4", sg::GradCam{}, 281);  // 281: ImageNet's tabby cat
  cv::imwrite("cat.png", sg::overlay(photo, cat.map(0)));
}
#undef main

TEST_CASE("the README's program hooks and explains a photograph") {
  const docs::ScratchFolder scratch("readme");
  cv::imwrite("cat_dog.jpg", cv::Mat(120, 160, CV_8UC3, cv::Scalar(30, 120, 210)));
  support::scripted(*support::ResNet18()).save("resnet18.pt");
  const docs::Printed printed;
  readme_program();
  CHECK_THAT(printed.text(), ContainsSubstring("[1, 512, 7, 7]"));
  CHECK(sg::read_image("cat.png").size() == cv::Size(160, 120));
}
