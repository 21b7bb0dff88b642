#pragma once

#include <torch/torch.h>

#include <tuple>

/// A vision transformer in small.
namespace support {

/// A block that writes the residual in place; LibTorch's own multi-head attention, whose maps are `[N * heads, T, T]`.
struct SmallBlockImpl : torch::nn::Module {
  SmallBlockImpl() : attention(register_module("attention", torch::nn::MultiheadAttention(8, 2))) {}
  torch::Tensor forward(torch::Tensor t) {  // [N, T, 8]
    const torch::Tensor u = t.transpose(0, 1) * 1;
    t += std::get<0>(attention->forward(u, u * 2, u)).transpose(0, 1);
    return t;
  }
  torch::nn::MultiheadAttention attention;
};
TORCH_MODULE(SmallBlock);

/// A transformer on 2 x 3 patches of 8 numbers and a class token.
struct SmallTransformerImpl : torch::nn::Module {
  SmallTransformerImpl()
      : patch(register_module("patch", torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 8, 2).stride(2)))),
        token(register_parameter("token", torch::randn({1, 1, 8}))),
        blocks(register_module("blocks", torch::nn::Sequential(SmallBlock(), SmallBlock(), SmallBlock()))),
        fc(register_module("fc", torch::nn::Linear(8, 3))) {
    eval();
  }

  torch::Tensor tokens(const torch::Tensor& x) {
    const torch::Tensor t = patch->forward(x).flatten(2).transpose(1, 2);
    return torch::cat({token.expand({t.size(0), 1, 8}), t}, 1);  // [N, T, 8]
  }
  torch::Tensor head(const torch::Tensor& t) { return fc->forward(t.select(1, 0).tanh()); }
  torch::Tensor forward(const torch::Tensor& x) { return head(blocks->forward(tokens(x))); }

  torch::nn::Conv2d patch;
  torch::Tensor token;
  torch::nn::Sequential blocks;
  torch::nn::Linear fc;
};
TORCH_MODULE(SmallTransformer);

}  // namespace support
