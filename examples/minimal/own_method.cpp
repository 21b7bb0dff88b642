// A method of one's own: any callable from a cut to maps [N, *S]; the library runs the model and does the rest.
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

/// Gradient times activation, of the channels that speak for the target alone.
struct PositiveChannels {
  torch::Tensor operator()(const sg::Cut& cut) const {
    const torch::Tensor evidence = cut.gradients() * cut.activations();             // [N, C, h, w]
    const torch::Tensor speaks_for = evidence.sum({2, 3}, /*keepdim=*/true).gt(0);  // [N, C, 1, 1]
    return (evidence * speaks_for).sum(1);                                          // [N, h, w]
  }
};

int main() {
  torch::manual_seed(1);
  Net net;
  net->eval();
  const torch::Tensor input = torch::rand({1, 3, 32, 32});

  const sg::Explanation own = sg::explain(net, input, net->conv2, PositiveChannels{}, sg::Target(2));
  const auto squares = [](const sg::Cut& cut) { return cut.activations().square().sum(1); };  // a lambda does as well
  const sg::Explanation energy = sg::explain(net, input, net->conv2, squares, sg::Target(2));
  std::cout << "positive channels: sum " << own.map(0).sum().item<float>() << ", squares: sum "
            << energy.map(0).sum().item<float>() << '\n';
}
