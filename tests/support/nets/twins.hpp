#pragma once

#include <torch/torch.h>

/// The networks of ../shared/refs as people write them in LibTorch: same names, same weights.
namespace support {

inline torch::nn::Conv2dOptions conv_options(int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t padding) {
  return torch::nn::Conv2dOptions(in, out, kernel).stride(stride).padding(padding).bias(false);
}

/// torchvision's BasicBlock: one in-place ReLU module, called twice; `+=` on what batch norm gave.
struct TwinBlockImpl : torch::nn::Module {
  TwinBlockImpl(int64_t in, int64_t out, int64_t stride)
      : conv1(register_module("conv1", torch::nn::Conv2d(conv_options(in, out, 3, stride, 1)))),
        bn1(register_module("bn1", torch::nn::BatchNorm2d(out))),
        relu(register_module("relu", torch::nn::ReLU(torch::nn::ReLUOptions(true)))),
        conv2(register_module("conv2", torch::nn::Conv2d(conv_options(out, out, 3, 1, 1)))),
        bn2(register_module("bn2", torch::nn::BatchNorm2d(out))) {
    if (stride != 1 || in != out) {
      downsample = register_module(
          "downsample",
          torch::nn::Sequential(torch::nn::Conv2d(conv_options(in, out, 1, stride, 0)), torch::nn::BatchNorm2d(out)));
    }
  }

  torch::Tensor forward(const torch::Tensor& x) {
    torch::Tensor identity = x;
    torch::Tensor out = relu->forward(bn1->forward(conv1->forward(x)));
    out = bn2->forward(conv2->forward(out));
    if (!downsample.is_empty()) identity = downsample->forward(x);
    out += identity;
    return relu->forward(out);
  }

  torch::nn::Conv2d conv1;
  torch::nn::BatchNorm2d bn1;
  torch::nn::ReLU relu;
  torch::nn::Conv2d conv2;
  torch::nn::BatchNorm2d bn2;
  torch::nn::Sequential downsample{nullptr};
};
TORCH_MODULE(TwinBlock);

/// torchvision's resnet18 with width 8 and 10 classes.
struct TinyResNetImpl : torch::nn::Module {
  explicit TinyResNetImpl(int64_t w = 8, int64_t classes = 10)
      : conv1(register_module("conv1", torch::nn::Conv2d(conv_options(3, w, 7, 2, 3)))),
        bn1(register_module("bn1", torch::nn::BatchNorm2d(w))),
        relu(register_module("relu", torch::nn::ReLU(torch::nn::ReLUOptions(true)))),
        maxpool(register_module("maxpool", torch::nn::MaxPool2d(torch::nn::MaxPool2dOptions(3).stride(2).padding(1)))),
        layer1(register_module("layer1", torch::nn::Sequential(TwinBlock(w, w, 1), TwinBlock(w, w, 1)))),
        layer2(register_module("layer2", torch::nn::Sequential(TwinBlock(w, 2 * w, 2), TwinBlock(2 * w, 2 * w, 1)))),
        layer3(
            register_module("layer3", torch::nn::Sequential(TwinBlock(2 * w, 4 * w, 2), TwinBlock(4 * w, 4 * w, 1)))),
        layer4(
            register_module("layer4", torch::nn::Sequential(TwinBlock(4 * w, 8 * w, 2), TwinBlock(8 * w, 8 * w, 1)))),
        avgpool(register_module("avgpool", torch::nn::AdaptiveAvgPool2d(torch::nn::AdaptiveAvgPool2dOptions({1, 1})))),
        fc(register_module("fc", torch::nn::Linear(8 * w, classes))) {}

  torch::Tensor forward(torch::Tensor x) {
    x = maxpool->forward(relu->forward(bn1->forward(conv1->forward(x))));
    x = layer4->forward(layer3->forward(layer2->forward(layer1->forward(x))));
    return fc->forward(torch::flatten(avgpool->forward(x), 1));
  }

  torch::nn::Conv2d conv1;
  torch::nn::BatchNorm2d bn1;
  torch::nn::ReLU relu;
  torch::nn::MaxPool2d maxpool;
  torch::nn::Sequential layer1, layer2, layer3, layer4;
  torch::nn::AdaptiveAvgPool2d avgpool;
  torch::nn::Linear fc;
};
TORCH_MODULE(TinyResNet);

/// Two plain `Sequential`s; 64 x 80 input.
struct TinyVggImpl : torch::nn::Module {
  explicit TinyVggImpl(int64_t classes = 10)
      : features(register_module(
            "features",
            torch::nn::Sequential(conv(3, 12), torch::nn::ReLU(), torch::nn::MaxPool2d(2), conv(12, 16),
                                  torch::nn::BatchNorm2d(16), torch::nn::ReLU(), torch::nn::MaxPool2d(2), conv(16, 24),
                                  torch::nn::ReLU(), conv(24, 24), torch::nn::ReLU(), torch::nn::MaxPool2d(2)))),
        classifier(register_module(
            "classifier",
            torch::nn::Sequential(torch::nn::Flatten(), torch::nn::Linear(24 * 8 * 10, 24), torch::nn::ReLU(),
                                  torch::nn::Dropout(0.2), torch::nn::Linear(24, classes)))) {}

  torch::Tensor forward(const torch::Tensor& x) { return classifier->forward(features->forward(x)); }

  static torch::nn::Conv2d conv(int64_t in, int64_t out) {
    return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, 3).padding(1));
  }

  torch::nn::Sequential features, classifier;
};
TORCH_MODULE(TinyVgg);

}  // namespace support
