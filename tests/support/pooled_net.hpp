#pragma once

#include <torch/torch.h>

namespace support {

/// Features, and a head whose gradient differs from place to place; CAM finds its weights all the same.
struct PooledNetImpl : torch::nn::Module {
  PooledNetImpl()
      : features(register_module(
            "features", torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 5, 3).stride(2).padding(1)),
                                              torch::nn::ReLU()))),
        fc(register_module("fc", torch::nn::Linear(5, 4))) {
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    return fc->forward(features->forward(x).tanh().mean(at::IntArrayRef{2, 3}));
  }
  torch::nn::Sequential features;
  torch::nn::Linear fc;
};
TORCH_MODULE(PooledNet);

}  // namespace support
