// What it costs to watch every layer of a deep network: benchmark_many_layers [BLOCKS].
//
// Blocks of a linear layer, a norm and a ReLU, four layers with the block itself, small enough that the mechanism and
// not the arithmetic is seen. Layers are found by name; those without parameters are found in their block.

#include <cstdio>
#include <memory>
#include <string>

#include <torch/torch.h>

#include "sightglass/hooks/many.hpp"
#include "support/harness/timing.hpp"

namespace sg = sightglass;

namespace {

struct BlockImpl : torch::nn::Module {
  BlockImpl() {
    register_module("linear", linear);
    register_module("norm", norm);
    register_module("relu", relu);
  }
  torch::Tensor forward(const torch::Tensor& x) { return x + relu(norm(linear(x))); }
  torch::nn::Linear linear{8, 8};
  torch::nn::LayerNorm norm{torch::nn::LayerNormOptions({8})};
  torch::nn::ReLU relu;
};
TORCH_MODULE(Block);

struct DeepImpl : torch::nn::Module {
  explicit DeepImpl(int64_t count) {
    register_module("blocks", blocks);
    for (int64_t i = 0; i < count; ++i) blocks->push_back(Block());
    eval();
  }
  torch::Tensor forward(torch::Tensor x) {
    for (const auto& block : *blocks) x = block->as<Block>()->forward(x);
    return x;
  }
  torch::nn::ModuleList blocks;
};
TORCH_MODULE(Deep);

}  // namespace

int main(int argc, char** argv) {
  const int64_t most = argc > 1 ? std::stol(argv[1]) : 500;
  at::set_num_threads(1);
  sg::hookable<BlockImpl>();
  std::printf("LibTorch %s, 1 thread\n%8s %12s %12s %12s %12s %12s\n", TORCH_VERSION, "layers", "Captures s",
              "us a layer", "first s", "next s", "plain s");
  for (int64_t blocks = most / 4; blocks <= most; blocks *= 2) {
    const Deep net(blocks);
    const torch::Tensor x = torch::randn({2, 8});
    const torch::NoGradGuard no_gradients;
    Deep run = net;
    run->forward(x);
    const double plain = support::seconds([&] { run->forward(x); });
    std::unique_ptr<sg::Captures> captures;
    const sg::LayerFilter all = [](const sg::Layer& layer) { return layer.name() != "blocks"; };
    const double made = support::seconds([&] { captures = std::make_unique<sg::Captures>(net, all); });
    const double first = support::seconds([&] { run->forward(x); });
    const double next = support::seconds([&] { run->forward(x); });
    const auto layers = static_cast<double>(captures->size());
    if (!(*captures)["blocks.0.relu"].output().defined()) return 1;
    std::printf("%8.0f %12.3f %12.1f %12.3f %12.3f %12.4f\n", layers, made, 1e6 * made / layers, first, next, plain);
  }
}
