#pragma once

#include <sightglass/cam/explanation.hpp>
#include <torch/torch.h>

namespace support {

/// One score: the sum of the pixels of all channels.
struct SumOfPixelsImpl : torch::nn::Module {
  explicit SumOfPixelsImpl(int64_t channels)
      : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, 1, 1).bias(false)))) {
    const torch::NoGradGuard no_gradients;
    conv->weight.fill_(1.f);
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).flatten(1).sum(1, true); }
  torch::nn::Conv2d conv;
};

/// An explanation of maps `[N, h, w]` made by hand.
inline sightglass::Explanation maps_of(const at::Tensor& maps) {
  const int64_t images = maps.size(0);
  return {maps, at::zeros({images}), at::zeros({images}, at::kLong), maps.sizes().slice(1).vec()};
}

}  // namespace support
