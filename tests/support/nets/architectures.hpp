#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// ResNet-18, ResNet-50 and MobileNetV2, written as people write LibTorch models, with torchvision's names and random
/// weights.
namespace support {

namespace nn = torch::nn;

inline nn::Conv2d conv(int64_t in, int64_t out, int64_t kernel, int64_t stride = 1, int64_t groups = 1) {
  return nn::Conv2d(nn::Conv2dOptions(in, out, kernel).stride(stride).padding(kernel / 2).groups(groups).bias(false));
}

inline nn::Sequential downsample_for(int64_t in, int64_t out, int64_t stride) {
  if (stride == 1 && in == out) return nullptr;
  return nn::Sequential(conv(in, out, 1, stride), nn::BatchNorm2d(out));
}

class BasicBlockImpl : public nn::Module {
 public:
  static constexpr int64_t expansion = 1;

  BasicBlockImpl(int64_t in, int64_t out, int64_t stride)
      : conv1(register_module("conv1", conv(in, out, 3, stride))),
        bn1(register_module("bn1", nn::BatchNorm2d(out))),
        conv2(register_module("conv2", conv(out, out, 3))),
        bn2(register_module("bn2", nn::BatchNorm2d(out))),
        downsample(downsample_for(in, out, stride)) {
    if (downsample) register_module("downsample", downsample);
  }

  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor identity = downsample ? downsample->forward(x) : x;
    torch::Tensor out = bn1->forward(conv1->forward(x)).relu_();
    out = bn2->forward(conv2->forward(out));
    out += identity;
    return out.relu_();
  }

 private:
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  nn::Sequential downsample;
};

class BottleneckImpl : public nn::Module {
 public:
  static constexpr int64_t expansion = 4;

  BottleneckImpl(int64_t in, int64_t width, int64_t stride)
      : conv1(register_module("conv1", conv(in, width, 1))),
        bn1(register_module("bn1", nn::BatchNorm2d(width))),
        conv2(register_module("conv2", conv(width, width, 3, stride))),
        bn2(register_module("bn2", nn::BatchNorm2d(width))),
        conv3(register_module("conv3", conv(width, expansion * width, 1))),
        bn3(register_module("bn3", nn::BatchNorm2d(expansion * width))),
        downsample(downsample_for(in, expansion * width, stride)) {
    if (downsample) register_module("downsample", downsample);
  }

  torch::Tensor forward(torch::Tensor x) {
    torch::Tensor identity = downsample ? downsample->forward(x) : x;
    torch::Tensor out = bn1->forward(conv1->forward(x)).relu_();
    out = bn2->forward(conv2->forward(out)).relu_();
    out = bn3->forward(conv3->forward(out));
    out += identity;
    return out.relu_();
  }

 private:
  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Conv2d conv2;
  nn::BatchNorm2d bn2;
  nn::Conv2d conv3;
  nn::BatchNorm2d bn3;
  nn::Sequential downsample;
};

/// `blocks`: how many there are in each of the four stages.
template <class Block>
class ResNetOf : public nn::Module {
 public:
  ResNetOf(const std::vector<int64_t>& blocks, int64_t width, int64_t classes)
      : conv1(register_module("conv1", conv(3, width, 7, 2))),
        bn1(register_module("bn1", nn::BatchNorm2d(width))),
        layer1(register_module("layer1", stage(width, width, 1, blocks[0]))),
        layer2(register_module("layer2", stage(Block::expansion * width, 2 * width, 2, blocks[1]))),
        layer3(register_module("layer3", stage(2 * Block::expansion * width, 4 * width, 2, blocks[2]))),
        layer4(register_module("layer4", stage(4 * Block::expansion * width, 8 * width, 2, blocks[3]))),
        fc(register_module("fc", nn::Linear(8 * Block::expansion * width, classes))) {}

  torch::Tensor forward(torch::Tensor x) {
    x = bn1->forward(conv1->forward(x)).relu_();
    x = torch::max_pool2d(x, 3, 2, 1);
    x = layer4->forward(layer3->forward(layer2->forward(layer1->forward(x))));
    return fc->forward(torch::adaptive_avg_pool2d(x, {1, 1}).flatten(1));
  }

  nn::Conv2d conv1;
  nn::BatchNorm2d bn1;
  nn::Sequential layer1, layer2, layer3, layer4;
  nn::Linear fc;

 private:
  static nn::Sequential stage(int64_t in, int64_t channels, int64_t stride, int64_t count) {
    nn::Sequential blocks(Block(in, channels, stride));
    for (int64_t i = 1; i < count; ++i) blocks->push_back(Block(Block::expansion * channels, channels, 1));
    return blocks;
  }
};

class ResNet18Impl : public ResNetOf<BasicBlockImpl> {
 public:
  explicit ResNet18Impl(int64_t width = 64, int64_t classes = 1000) : ResNetOf({2, 2, 2, 2}, width, classes) {}
};
TORCH_MODULE(ResNet18);

class ResNet50Impl : public ResNetOf<BottleneckImpl> {
 public:
  explicit ResNet50Impl(int64_t width = 64, int64_t classes = 1000) : ResNetOf({3, 4, 6, 3}, width, classes) {}
};
TORCH_MODULE(ResNet50);

class InvertedResidualImpl : public nn::Module {
 public:
  InvertedResidualImpl(int64_t in, int64_t out, int64_t stride, int64_t expand) : residual_(stride == 1 && in == out) {
    const int64_t hidden = in * expand;
    if (expand != 1) add(conv(in, hidden, 1), hidden);
    add(conv(hidden, hidden, 3, stride, hidden), hidden);
    layers_->push_back(conv(hidden, out, 1));
    layers_->push_back(nn::BatchNorm2d(out));
    register_module("conv", layers_);
  }

  torch::Tensor forward(torch::Tensor x) { return residual_ ? x + layers_->forward(x) : layers_->forward(x); }
  bool residual() const { return residual_; }

 private:
  void add(nn::Conv2d convolution, int64_t channels) {
    layers_->push_back(std::move(convolution));
    layers_->push_back(nn::BatchNorm2d(channels));
    layers_->push_back(nn::ReLU6(nn::ReLU6Options(true)));
  }

  bool residual_;
  nn::Sequential layers_;
};
TORCH_MODULE(InvertedResidual);

class MobileNetV2Impl : public nn::Module {
 public:
  explicit MobileNetV2Impl(int64_t classes = 1000) {
    struct Stage {
      int64_t expand, channels, blocks, stride;
    };
    const std::vector<Stage> stages{{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                    {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    add_convolution(3, 32, 3, 2);
    int64_t in = 32;
    for (const Stage& stage : stages) {
      for (int64_t block = 0; block < stage.blocks; ++block) {
        features->push_back(InvertedResidual(in, stage.channels, block == 0 ? stage.stride : 1, stage.expand));
        in = stage.channels;
      }
    }
    add_convolution(in, 1280, 1, 1);
    register_module("features", features);
    classifier = register_module("classifier", nn::Sequential(nn::Dropout(0.2), nn::Linear(1280, classes)));
  }

  torch::Tensor forward(torch::Tensor x) { return classifier->forward(features->forward(x).mean({2, 3})); }

  nn::Sequential features;
  nn::Sequential classifier{nullptr};

 private:
  void add_convolution(int64_t in, int64_t out, int64_t kernel, int64_t stride) {
    features->push_back(conv(in, out, kernel, stride));
    features->push_back(nn::BatchNorm2d(out));
    features->push_back(nn::ReLU6(nn::ReLU6Options(true)));
  }
};
TORCH_MODULE(MobileNetV2);

}  // namespace support
