// A hook: switches a channel of a layer off, to see what becomes of the scores.
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
  const torch::Tensor usual = net->forward(input);

  torch::Tensor changed;
  {
    const auto without_channel_5 = [](const sg::Layer&, const torch::Tensor& /*input*/, const torch::Tensor& output) {
      torch::Tensor copy = output.clone();
      copy.select(1, 5).zero_();
      return copy;  // takes the output's place; a hook that only looks returns nothing
    };
    const sg::ForwardHook hook(net->conv1, without_channel_5);  // or by name: hook(net, "conv1", ...)
    changed = net->forward(input);
  }  // the hook ends with its scope
  std::cout << "score " << usual[0][2].item<float>() << ", without channel 5 " << changed[0][2].item<float>()
            << ", afterwards " << net->forward(input)[0][2].item<float>() << '\n';
}
