#pragma once

#include <torch/torch.h>

#include <vector>

/// A net whose maps are computed on paper, and what is needed to do so.
namespace support {

inline at::Tensor plane(std::vector<float> values, int64_t height, int64_t width) {
  return torch::tensor(values).view({1, 1, height, width});
}

/// `features` (1x1 convolution to x and 3 - x, in-place ReLU), global average pooling, `fc` with weights (1, 2) for
/// class 0 and (-1, 1) for class 1.
///
/// For the picture (1 2; 3 4):
/// - features.0 gives A0 = (1 2; 3 4) and A1 = (2 1; 0 -1); features gives A1 = (2 1; 0 0).
/// - means 2.5 and 0.75, so the scores are 2.5 + 2 * 0.75 = 4 and -2.5 + 0.75 = -1.75.
/// - CAM of class 0: A0 + 2 A1 = (5 4; 3 4); of class 1: A1 - A0 = (1 -1; -3 -4).
/// - gradients at features: weight / 4 everywhere. Grad-CAM is relu(CAM) / 4.
/// - gradients at features.0: the same for A0; for A1 weight / 4 at the two places above 0, so their mean is weight
/// / 8.
///   Class 0: (A0 + A1) / 4 = 3 / 4 everywhere. Class 1: A1 / 8 - A0 / 4 = (0 -.375; -.75 -1.125), nothing above 0.
struct PaperNetImpl : torch::nn::Module {
  PaperNetImpl()
      : features(register_module("features", torch::nn::Sequential(torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 2, 1)),
                                                                   torch::nn::ReLU(torch::nn::ReLUOptions(true))))),
        fc(register_module("fc", torch::nn::Linear(torch::nn::LinearOptions(2, 2).bias(false)))) {
    const torch::NoGradGuard no_gradients;
    auto& conv = features->at<torch::nn::Conv2dImpl>(0);
    conv.weight.copy_(torch::tensor({1.f, -1.f}).view({2, 1, 1, 1}));
    conv.bias.copy_(torch::tensor({0.f, 3.f}));
    fc->weight.copy_(torch::tensor({1.f, 2.f, -1.f, 1.f}).view({2, 2}));
    eval();
  }

  torch::Tensor forward(const torch::Tensor& x) {
    return fc->forward(features->forward(x).mean(at::IntArrayRef{2, 3}));
  }

  static at::Tensor picture() { return plane({1, 2, 3, 4}, 2, 2); }

  torch::nn::Sequential features;
  torch::nn::Linear fc;
};
TORCH_MODULE(PaperNet);

}  // namespace support
