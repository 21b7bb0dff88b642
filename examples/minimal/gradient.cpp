// A capture: what a layer gives, and the gradient of a score with respect to it.
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
  const torch::Tensor input = torch::rand({1, 3, 32, 32});

  const sg::Capture conv2(net->conv2);  // or by name: conv2(net, "conv2")
  const torch::Tensor scores = net->forward(input);
  scores[0][2].backward();

  std::cout << "output " << conv2.output().sizes() << ", mean " << conv2.output().mean().item<float>() << '\n'
            << "gradient " << conv2.gradient().sizes() << ", norm " << conv2.gradient().norm().item<float>() << '\n';
}
