#pragma once

#include <torch/nn/functional/instancenorm.h>  // LibTorch 1.13.1: torch/nn/modules.h needs it and does not say so
#include <torch/nn/module.h>
#include <torch/nn/modules.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace support {

constexpr int64_t shapes_channels = 64;

/// Appends a convolution of 3 x 3 places, a batch norm and a ReLU.
inline void add_convolution(torch::nn::Sequential& layers, int64_t from, int64_t to) {
  layers->push_back(torch::nn::Conv2d(torch::nn::Conv2dOptions(from, to, 3).padding(1).bias(false)));
  layers->push_back(torch::nn::BatchNorm2d(to));
  layers->push_back(torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true)));
}

/// Appends one of the three stages of `shapes_features`, 0 to 2.
inline void add_shapes_stage(torch::nn::Sequential& layers, int stage) {
  if (stage == 0) {
    layers->push_back(torch::nn::AvgPool2d(4));
    add_convolution(layers, 3, 16);
    return;
  }
  layers->push_back(torch::nn::MaxPool2d(2));
  if (stage == 1) {
    add_convolution(layers, 16, 32);
  } else {
    add_convolution(layers, 32, shapes_channels);
    add_convolution(layers, shapes_channels, shapes_channels);
  }
}

/// The convolutions of `shapes`: `[N, 3, H, W]` to `[N, shapes_channels, H / 16, W / 16]`.
///
/// Pictures are seen at a quarter of their size, and places are halved twice, by pooling and not by strides: an element
/// of the last map then lies in the middle of the pixels that it stands for, so that a map is not drawn beside its
/// object.
inline torch::nn::Sequential shapes_features() {
  torch::nn::Sequential features;
  for (int stage = 0; stage < 3; ++stage) add_shapes_stage(features, stage);
  return features;
}

/// The network of `shapes`: convolutions, global average pooling, one linear layer: what CAM asks for.
struct ShapesNetImpl : torch::nn::Module {
  torch::nn::Sequential features = shapes_features();
  torch::nn::BatchNorm1d pooled_norm = nullptr;
  torch::nn::Linear classifier = nullptr;

  explicit ShapesNetImpl(int64_t classes) {
    register_module("features", features);
    // An object is a tenth of its picture and hardly moves a mean over all of it; normalised, the means are seen at
    // once.
    pooled_norm = register_module("pooled_norm", torch::nn::BatchNorm1d(shapes_channels));
    classifier = register_module("classifier", torch::nn::Linear(shapes_channels, classes));
  }

  /// `x` `[N, 3, H, W]`, normalised as for ImageNet; gives `[N, classes]`.
  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor means = features->forward(x).mean({2, 3});
    if (pooled_norm) means = pooled_norm->forward(means);
    return classifier->forward(means);
  }

  /// After the training: the norm becomes part of the linear layer, so that this one alone stands behind the pooling.
  void fold_norm() {
    const torch::NoGradGuard no_gradients;
    const torch::Tensor scale = pooled_norm->weight / (pooled_norm->running_var + pooled_norm->options.eps()).sqrt();
    const torch::Tensor shift = pooled_norm->bias - pooled_norm->running_mean * scale;
    classifier->bias.add_(classifier->weight.mv(shift));
    classifier->weight.mul_(scale);
    unregister_module("pooled_norm");
    pooled_norm = nullptr;
  }
};
TORCH_MODULE(ShapesNet);

}  // namespace support
