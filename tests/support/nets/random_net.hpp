#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace support {

/// A small network put together at random: convolutions, norms, in-place and plain activations, skips over any
/// distance, views of the batch, branches that are cut up and put together again.
struct RandomNetImpl : torch::nn::Module {
  enum class Op {
    conv,
    norm,
    relu,
    relu_in_place,
    add_skip,
    add_skip_in_place,
    halves,
    fold_batch,
    scale_by_mean,
    pool
  };

  RandomNetImpl(uint64_t seed, size_t length) {
    std::mt19937_64 random(seed);
    for (size_t i = 0; i < length; ++i) {
      const auto op = static_cast<Op>(random() % 10);
      skips.push_back(ops.empty() ? 0 : random() % ops.size());
      ops.push_back(op);
      const std::string number = std::to_string(i);
      convs.push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(6, 6, 3).padding(1)));
      norms.push_back(torch::nn::BatchNorm2d(6));
      if (op == Op::conv) register_module("conv" + number, convs.back());
      if (op == Op::norm) register_module("norm" + number, norms.back());
    }
    register_module("stem", stem);
    register_module("fc", fc);
    eval();
  }

  torch::Tensor forward(torch::Tensor x) {
    x = stem->forward(x);
    std::vector<torch::Tensor> before;
    for (size_t i = 0; i < ops.size(); ++i) {
      before.push_back(x);
      const torch::Tensor& skip = before[skips[i]];
      switch (ops[i]) {
        case Op::conv:
          x = convs[i]->forward(x);
          break;
        case Op::norm:
          x = norms[i]->forward(x);
          break;
        case Op::relu:
          x = torch::relu(x);
          break;
        case Op::relu_in_place:
          x = torch::relu_(x);
          break;
        case Op::add_skip:
          x = x + skip;
          break;
        case Op::add_skip_in_place:
          x += skip * 0.5;
          break;
        case Op::halves: {
          const auto parts = x.chunk(2, 1);
          x = torch::cat({parts[1], parts[0].sigmoid()}, 1);
          break;
        }
        case Op::fold_batch:
          x = x.view({x.size(0) * 2, 3, x.size(2), x.size(3)}).tanh().view_as(x);
          break;
        case Op::scale_by_mean:
          x = x * x.mean(at::IntArrayRef{2, 3}, true);
          break;
        case Op::pool:
          x = torch::avg_pool2d(x, 3, 1, 1);
          break;
      }
    }
    return fc->forward(x.mean(at::IntArrayRef{2, 3}));
  }

  std::vector<Op> ops;
  std::vector<size_t> skips;
  std::vector<torch::nn::Conv2d> convs;
  std::vector<torch::nn::BatchNorm2d> norms;
  torch::nn::Conv2d stem{torch::nn::Conv2dOptions(3, 6, 3).padding(1)};
  torch::nn::Linear fc{6, 4};
};
TORCH_MODULE(RandomNet);

}  // namespace support
