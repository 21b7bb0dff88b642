#pragma once

#include <torch/nn/functional/instancenorm.h>  // LibTorch 1.13.1: torch/nn/modules.h needs it and does not say so
#include <torch/nn/module.h>
#include <torch/nn/modules.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>

#include "torchscript.hpp"
#include "support/shapes_net.hpp"

namespace support {

constexpr int64_t segmenter_stride = 4;  // pixels of a place of the scores, before they are enlarged

/// A segmenter: an encoder of three stages, and a decoder that sees the earlier ones too (Ronneberger et al. 2015,
/// "U-Net"). `[N, 3, H, W]`, normalised as for ImageNet.
struct SegmenterNetImpl : torch::nn::Module {
  torch::nn::Sequential encoder1, encoder2, encoder3, decoder2, decoder1;
  torch::nn::Conv2d classifier = nullptr;

  explicit SegmenterNetImpl(int64_t classes) {
    add_shapes_stage(encoder1, 0);
    add_shapes_stage(encoder2, 1);
    add_shapes_stage(encoder3, 2);
    add_convolution(decoder2, shapes_channels + 32, 32);
    add_convolution(decoder1, 32 + 16, 16);
    register_module("encoder1", encoder1);
    register_module("encoder2", encoder2);
    register_module("encoder3", encoder3);
    register_module("decoder2", decoder2);
    register_module("decoder1", decoder1);
    classifier = register_module("classifier", torch::nn::Conv2d(torch::nn::Conv2dOptions(16, classes, 1)));
  }

  /// The scores of a quarter of the size, `[N, classes, H / 4, W / 4]`.
  torch::Tensor coarse(const torch::Tensor& x) {
    const torch::Tensor fine = encoder1->forward(x), middle = encoder2->forward(fine);
    const torch::Tensor deep = encoder3->forward(middle);
    const torch::Tensor decoded = decoder2->forward(torch::cat({enlarged_to(middle, deep), middle}, 1));
    return classifier->forward(decoder1->forward(torch::cat({enlarged_to(fine, decoded), fine}, 1)));
  }

  /// `[N, classes, H, W]`
  torch::Tensor forward(const torch::Tensor& x) { return enlarged_to(x, coarse(x)); }

 private:
  static torch::Tensor enlarged_to(const torch::Tensor& size, const torch::Tensor& maps) {
    return at::upsample_bilinear2d(maps, {size.size(2), size.size(3)}, false);
  }
};
TORCH_MODULE(SegmenterNet);

/// The trained network as TorchScript, with the same names of layers.
inline torch::jit::Module to_torchscript(const SegmenterNet& net) {
  const ScriptWriter writer;
  torch::jit::Module script = writer.module("SegmenterNet");
  for (const auto& child : net->named_children()) {
    const auto* layers = child.value()->as<torch::nn::SequentialImpl>();
    script.register_module(child.key(), layers != nullptr ? writer.sequential(*layers) : writer.conv(*net->classifier));
  }
  script.define(
      "def forward(self, x):\n"
      "  fine = self.encoder1.forward(x)\n"
      "  middle = self.encoder2.forward(fine)\n"
      "  deep = torch.upsample_bilinear2d(self.encoder3.forward(middle), middle.shape[2:], False)\n"
      "  decoded = self.decoder2.forward(torch.cat([deep, middle], 1))\n"
      "  decoded = torch.upsample_bilinear2d(decoded, fine.shape[2:], False)\n"
      "  decoded = self.decoder1.forward(torch.cat([decoded, fine], 1))\n"
      "  return torch.upsample_bilinear2d(self.classifier.forward(decoded), x.shape[2:], False)\n");
  return script;
}

}  // namespace support
