#include "support/harness/catch.hpp"
#include "scratch.hpp"

// The block's includes are there already; its `main` becomes a function.
#include <sightglass/opencv.hpp>
#define main() \
  unused();    \
  void started_program()

#include <sightglass/sightglass.hpp>
#include <sightglass/opencv.hpp>
#include <torch/torch.h>
#include <iostream>
namespace sg = sightglass;

// A model as anybody writes it; it knows nothing of sightglass.
struct NetImpl : torch::nn::Module {
  NetImpl() {
    register_module("features", features);
    register_module("classifier", classifier);
  }
  torch::Tensor forward(torch::Tensor x) {
    x = features->forward(x);
    return classifier->forward(x.mean({2, 3}));
  }

  torch::nn::Sequential features{
      torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 16, 3).stride(2).padding(1)),
      torch::nn::ReLU(),
      torch::nn::Conv2d(torch::nn::Conv2dOptions(16, 32, 3).stride(2).padding(1)),
      torch::nn::ReLU(),
  };
  torch::nn::Linear classifier{32, 10};
};
TORCH_MODULE(Net);

int main() {
  Net net;  // without weights of yours, its maps mean nothing yet: sg::load_state_dict(net, "net.pth")
  net->eval();
  cv::Mat photo = sg::read_image("photo.jpg");
  torch::Tensor input = sg::to_tensor(photo, sg::imagenet(224));  // [1, 3, 224, 224]

  for (const sg::LayerInfo& layer : sg::layers(net, input)) std::cout << layer.name << ' ' << layer.shape << '\n';

  sg::Capture first(net, "features.0");
  net->forward(input);
  std::cout << first.output().sizes() << '\n';  // [1, 16, 112, 112]

  sg::Explanation why = sg::explain(net, input, net->features, sg::GradCam{});  // of what it predicts
  std::cout << "class " << why.targets()[0].item<int64_t>() << ", " << sg::to_string(why.status(0)) << '\n';
  cv::imwrite("why.png", sg::overlay(photo, why.map(0)));
}
#undef main

TEST_CASE("the program of docs/getting-started.md hooks and explains a torch::nn model") {
  const docs::ScratchFolder scratch("getting_started");
  cv::imwrite("photo.jpg", cv::Mat(120, 160, CV_8UC3, cv::Scalar(30, 120, 210)));
  const docs::Printed printed;
  started_program();
  CHECK_THAT(printed.text(), ContainsSubstring("features.2 1 32 56 56\n"));
  CHECK_THAT(printed.text(), ContainsSubstring("\n[1, 16, 112, 112]"));
  CHECK_THAT(printed.text(), ContainsSubstring("\nclass "));
  CHECK(sg::read_image("why.png").size() == cv::Size(160, 120));
}
