// A summary: what a model consists of, and what it costs.
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
  Net net;
  net->eval();
  const sg::Summary summary = sg::summary(net, torch::zeros({1, 3, 32, 32}));
  std::cout << summary;  // a table; its figures are there as well:
  std::cout << "multiply-adds of conv2: " << summary["conv2"].multiply_adds << " of " << summary.multiply_adds << '\n';
}
