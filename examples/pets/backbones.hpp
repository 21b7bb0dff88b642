#pragma once

#include <torch/nn/functional/instancenorm.h>  // LibTorch 1.13.1: torch/nn/modules.h needs it and does not say so
#include <torch/nn/module.h>
#include <torch/nn/modules.h>
#include <torch/nn/pimpl.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/shapes_net.hpp"

// Convolutional networks without their classifiers, with torchvision's names, so that what Python saved loads by name.
namespace support {

namespace nn = torch::nn;

/// `[N, 3, H, W]` to `[N, channels, h, w]`.
class BackboneImpl : public nn::Module {
 public:
  virtual torch::Tensor forward(const torch::Tensor& x) = 0;
  int64_t channels() const { return channels_; }
  /// The last layer of the last and of the second-to-last group; the latter's map has a finer grid.
  const std::string& last() const { return last_; }
  const std::string& second_to_last() const { return second_to_last_; }

 protected:
  BackboneImpl(int64_t channels, std::string last, std::string second_to_last)
      : channels_(channels), last_(std::move(last)), second_to_last_(std::move(second_to_last)) {}

 private:
  int64_t channels_;
  std::string last_, second_to_last_;
};

inline nn::Conv2d convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).groups(groups).bias(false));
}

/// A Sequential that another one can hold.
class BlockImpl : public nn::SequentialImpl {
 public:
  using nn::SequentialImpl::SequentialImpl;
  torch::Tensor forward(const torch::Tensor& x) { return nn::SequentialImpl::forward(x); }
};
TORCH_MODULE(Block);

// ---- ResNet: He et al. 2015, "Deep Residual Learning for Image Recognition"
class ResidualImpl : public nn::Module {
 public:
  /// `bottleneck`: 1x1, 3x3, 1x1 in place of two 3x3.
  enum class Kind { basic, bottleneck };
  static int64_t expansion(Kind kind) { return kind == Kind::basic ? 1 : 4; }

  ResidualImpl(Kind kind, int64_t in, int64_t width, int64_t stride) {
    if (kind == Kind::basic) {
      add("1", convolution(in, width, 3, stride), width);
      add("2", convolution(width, width, 3), width);
    } else {
      add("1", convolution(in, width, 1), width);
      add("2", convolution(width, width, 3, stride), width);
      add("3", convolution(width, 4 * width, 1), 4 * width);
    }
    const int64_t out = expansion(kind) * width;
    if (stride != 1 || in != out)
      downsample_ =
          register_module("downsample", nn::Sequential(convolution(in, out, 1, stride), nn::BatchNorm2d(out)));
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor y = x;
    for (size_t i = 0; i < layers_.size(); ++i) {
      y = layers_[i].second->forward(layers_[i].first->forward(y));
      if (i + 1 < layers_.size()) y = y.relu();
    }
    return (y + (downsample_ ? downsample_->forward(x) : x)).relu();
  }

 private:
  void add(const std::string& number, const nn::Conv2d& layer, int64_t channels) {
    register_module("conv" + number, layer);
    layers_.emplace_back(layer, register_module("bn" + number, nn::BatchNorm2d(channels)));
  }

  std::vector<std::pair<nn::Conv2d, nn::BatchNorm2d>> layers_;
  nn::Sequential downsample_ = nullptr;
};
TORCH_MODULE(Residual);

class ResNetImpl : public BackboneImpl {
 public:
  using Kind = ResidualImpl::Kind;

  /// `blocks`: how many there are in each of the four groups.
  ResNetImpl(Kind kind, const std::vector<int64_t>& blocks)
      : BackboneImpl(8 * width * ResidualImpl::expansion(kind), "layer4", "layer3") {
    conv1_ = register_module("conv1", convolution(3, width, 7, 2));
    bn1_ = register_module("bn1", nn::BatchNorm2d(width));
    for (size_t i = 0; i < 4; ++i) {
      nn::Sequential group;
      for (int64_t block = 0; block < blocks[i]; ++block) {
        const int64_t channels = width << i;
        group->push_back(Residual(kind, in_, channels, block == 0 && i > 0 ? 2 : 1));
        in_ = channels * ResidualImpl::expansion(kind);
      }
      groups_.push_back(register_module("layer" + std::to_string(i + 1), group));
    }
  }

  torch::Tensor forward(const torch::Tensor& x) override {
    torch::Tensor y = torch::max_pool2d(bn1_->forward(conv1_->forward(x)).relu(), 3, 2, 1);
    for (nn::Sequential& group : groups_) y = group->forward(y);
    return y;
  }

 private:
  static constexpr int64_t width = 64;
  int64_t in_ = width;
  nn::Conv2d conv1_ = nullptr;
  nn::BatchNorm2d bn1_ = nullptr;
  std::vector<nn::Sequential> groups_;
};

// ---- MobileNetV2: Sandler et al. 2018, "Inverted Residuals and Linear Bottlenecks"
inline Block normed(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return Block(convolution(in, out, kernel, stride, groups), nn::BatchNorm2d(out), nn::ReLU6());
}

class InvertedResidualImpl : public nn::Module {
 public:
  InvertedResidualImpl(int64_t in, int64_t out, int64_t stride, int64_t expand) : residual_(stride == 1 && in == out) {
    const int64_t hidden = in * expand;
    if (expand != 1) layers_->push_back(normed(in, hidden, 1));
    layers_->push_back(normed(hidden, hidden, 3, stride, hidden));
    layers_->push_back(convolution(hidden, out, 1));
    layers_->push_back(nn::BatchNorm2d(out));
    register_module("conv", layers_);
  }
  torch::Tensor forward(const torch::Tensor& x) { return residual_ ? x + layers_->forward(x) : layers_->forward(x); }

 private:
  bool residual_;
  nn::Sequential layers_;
};
TORCH_MODULE(InvertedResidual);

class MobileNetV2Impl : public BackboneImpl {
 public:
  MobileNetV2Impl() : BackboneImpl(1280, "features.18", "features.13") {
    struct Group {
      int64_t expand, channels, blocks, stride;
    };
    features_->push_back(normed(3, 32, 3, 2));
    int64_t in = 32;
    for (const Group& group : std::vector<Group>{{1, 16, 1, 1},
                                                 {6, 24, 2, 2},
                                                 {6, 32, 3, 2},
                                                 {6, 64, 4, 2},
                                                 {6, 96, 3, 1},
                                                 {6, 160, 3, 2},
                                                 {6, 320, 1, 1}}) {
      for (int64_t block = 0; block < group.blocks; ++block) {
        features_->push_back(InvertedResidual(in, group.channels, block == 0 ? group.stride : 1, group.expand));
        in = group.channels;
      }
    }
    features_->push_back(normed(in, channels(), 1));
    register_module("features", features_);
  }
  torch::Tensor forward(const torch::Tensor& x) override { return features_->forward(x); }

 private:
  nn::Sequential features_;
};

// ---- SqueezeNet 1.0: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters"
class FireImpl : public nn::Module {
 public:
  FireImpl(int64_t in, int64_t squeezed, int64_t out)
      : squeeze_(register_module("squeeze", nn::Conv2d(nn::Conv2dOptions(in, squeezed, 1)))),
        expand1x1_(register_module("expand1x1", nn::Conv2d(nn::Conv2dOptions(squeezed, out / 2, 1)))),
        expand3x3_(register_module("expand3x3", nn::Conv2d(nn::Conv2dOptions(squeezed, out / 2, 3).padding(1)))) {}
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor y = squeeze_->forward(x).relu();
    return torch::cat({expand1x1_->forward(y).relu(), expand3x3_->forward(y).relu()}, 1);
  }

 private:
  nn::Conv2d squeeze_, expand1x1_, expand3x3_;
};
TORCH_MODULE(Fire);

class SqueezeNetImpl : public BackboneImpl {
 public:
  SqueezeNetImpl() : BackboneImpl(512, "features.12", "features.10") {
    features_->push_back(nn::Conv2d(nn::Conv2dOptions(3, 96, 7).stride(2)));
    features_->push_back(nn::ReLU());
    add_pooling();
    add_fires({{96, 16, 128}, {128, 16, 128}, {128, 32, 256}});
    add_pooling();
    add_fires({{256, 32, 256}, {256, 48, 384}, {384, 48, 384}, {384, 64, 512}});
    add_pooling();
    add_fires({{512, 64, 512}});
    register_module("features", features_);
  }
  torch::Tensor forward(const torch::Tensor& x) override { return features_->forward(x); }

 private:
  struct Channels {
    int64_t in, squeezed, out;
  };
  void add_fires(const std::vector<Channels>& fires) {
    for (const Channels& fire : fires) features_->push_back(Fire(fire.in, fire.squeezed, fire.out));
  }
  void add_pooling() { features_->push_back(nn::MaxPool2d(nn::MaxPool2dOptions(3).stride(2).ceil_mode(true))); }

  nn::Sequential features_;
};

// ---- What drawn shapes can be told apart with, from nothing and within minutes
class TinyNetImpl : public BackboneImpl {
 public:
  TinyNetImpl() : BackboneImpl(shapes_channels, "features.14", "features.7") { register_module("features", features_); }
  torch::Tensor forward(const torch::Tensor& x) override { return features_->forward(x); }

 private:
  nn::Sequential features_ = shapes_features();
};

/// A backbone by name, with random weights.
struct NamedBackbone {
  std::string name;
  std::function<std::shared_ptr<BackboneImpl>()> make;
};

inline const std::vector<NamedBackbone>& backbones() {
  using Kind = ResidualImpl::Kind;
  static const auto resnet = [](Kind kind, const std::vector<int64_t>& blocks) {
    return [=] { return std::make_shared<ResNetImpl>(kind, blocks); };
  };
  static const std::vector<NamedBackbone> all{{"resnet18", resnet(Kind::basic, {2, 2, 2, 2})},
                                              {"resnet34", resnet(Kind::basic, {3, 4, 6, 3})},
                                              {"resnet50", resnet(Kind::bottleneck, {3, 4, 6, 3})},
                                              {"mobilenet_v2", [] { return std::make_shared<MobileNetV2Impl>(); }},
                                              {"squeezenet1_0", [] { return std::make_shared<SqueezeNetImpl>(); }},
                                              {"tiny", [] { return std::make_shared<TinyNetImpl>(); }}};
  return all;
}

}  // namespace support
