#pragma once

#include <cstdint>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

#include "backbones.hpp"

namespace support {

/// fastai's pooling: the greatest value of each channel, then the mean. `[N, C, H, W]` to `[N, 2 C, 1, 1]`.
class AdaptiveConcatPool2dImpl : public nn::Module {
 public:
  torch::Tensor forward(const torch::Tensor& x) {
    return torch::cat({std::get<0>(torch::adaptive_max_pool2d(x, {1, 1})), torch::adaptive_avg_pool2d(x, {1, 1})}, 1);
  }
};
TORCH_MODULE(AdaptiveConcatPool2d);

/// A backbone and fastai's head.
class PetsNetImpl : public nn::Module {
 public:
  static constexpr int64_t hidden = 512;

  std::shared_ptr<BackboneImpl> backbone;
  nn::Sequential head = nullptr;
  nn::Linear last = nullptr;  // of the head

  PetsNetImpl(std::shared_ptr<BackboneImpl> body, int64_t classes) : backbone(std::move(body)) {
    const int64_t pooled = 2 * backbone->channels();
    register_module("backbone", backbone);
    last = nn::Linear(nn::LinearOptions(hidden, classes).bias(false));
    head = register_module(
        "head", nn::Sequential(AdaptiveConcatPool2d(), nn::Flatten(), nn::BatchNorm1d(pooled), nn::Dropout(0.25),
                               nn::Linear(nn::LinearOptions(pooled, hidden).bias(false)), nn::ReLU(),
                               nn::BatchNorm1d(hidden), nn::Dropout(0.5), last));
    for (const torch::Tensor& weight : head->parameters())
      if (weight.dim() == 2) nn::init::kaiming_normal_(weight);
  }

  /// `[N, 3, H, W]` to `[N, classes]`, scores before softmax.
  torch::Tensor forward(const torch::Tensor& x) { return head->forward(backbone->forward(x)); }

  /// Early layers, late layers, the head: what learns slower, slow and fast. The backbone is halved by its number of
  /// tensors.
  std::vector<std::vector<torch::Tensor>> groups() const {
    const std::vector<torch::Tensor> body = backbone->parameters();
    const auto half = body.begin() + static_cast<std::ptrdiff_t>(body.size() / 2);
    return {{body.begin(), half}, {half, body.end()}, head->parameters()};
  }
};
TORCH_MODULE(PetsNet);

}  // namespace support
