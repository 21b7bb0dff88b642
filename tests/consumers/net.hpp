#pragma once

#include <torch/torch.h>

struct NetImpl : torch::nn::Module {
  torch::Tensor forward(torch::Tensor x) { return linear(torch::relu(conv(x)).mean({2, 3})); }

  torch::nn::Conv2d conv = register_module("conv", torch::nn::Conv2d(3, 4, 3));
  torch::nn::Linear linear = register_module("linear", torch::nn::Linear(4, 2));
};
TORCH_MODULE(Net);
