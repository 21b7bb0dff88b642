// Grad-CAM: which places of the input speak for class 2.
#include <sightglass/sightglass.hpp>

#include <iostream>

namespace sg = sightglass;

struct NetImpl : torch::nn::Module {
  torch::nn::Conv2d conv1 = register_module("conv1", torch::nn::Conv2d(3, 8, 3));
  torch::nn::Conv2d conv2 = register_module("conv2", torch::nn::Conv2d(8, 16, 3));
  torch::nn::Linear fc = register_module("fc", torch::nn::Linear(16, 4));

  torch::Tensor forward(const torch::Tensor& x) {
    return fc->forward(conv2->forward(conv1->forward(x).relu()).relu().mean({2, 3}));
  }
};
TORCH_MODULE(Net);

int main() {
  torch::manual_seed(1);
  Net net;
  net->eval();
  const torch::Tensor input = torch::rand({1, 3, 32, 32});

  const sg::Explanation found = sg::explain(net, input, net->conv2, sg::GradCam{}, sg::Target(2));
  const auto [x, y] = found.peak(0);
  std::cout << "score " << found.scores()[0].item<float>() << ", map " << found.map(0).sizes() << ", highest "
            << found.map(0).max().item<float>() << ", peak at x " << x << ", y " << y
            << " of the input: " << sg::to_string(found.status(0)) << '\n';
}
