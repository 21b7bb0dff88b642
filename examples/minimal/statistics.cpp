// Statistics: how a layer's activations fare while the network trains.
#include <torch/torch.h>
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
  torch::optim::SGD optimiser(net->parameters(), /*lr=*/0.1);
  const torch::Tensor inputs = torch::rand({8, 3, 32, 32}), classes = torch::randint(4, {8}, torch::kLong);

  sg::ActivationStats stats(net, sg::ActivationStatsOptions().every(2));  // records batches 0, 2, 4
  {
    const auto fit = stats.fit();
    for (int i = 0; i < 6; ++i) {
      const auto batch = fit.batch();  // until the end of the loop's body
      optimiser.zero_grad();
      torch::cross_entropy_loss(net->forward(inputs), classes).backward();
      optimiser.step();
    }
  }
  const sg::LayerStats conv1 = stats.layer("conv1");
  for (int64_t step = 0; step < stats.steps(); ++step)
    std::cout << "batch " << stats.batches()[step].item<int64_t>() << ": mean " << conv1.mean()[step].item<float>()
              << ", std " << conv1.std()[step].item<float>() << ", near zero " << conv1.near_zero()[step].item<float>()
              << '\n';
  for (const sg::Finding& finding : sg::diagnose(stats)) std::cout << "warning: " << finding.text << '\n';
}
