#pragma once

#include <nlohmann/json.hpp>

#include <torch/nn/functional/instancenorm.h>  // LibTorch 1.13.1: torch/nn/modules.h needs it and does not say so
#include <torch/nn/module.h>
#include <torch/nn/modules.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>

#include <cstdint>
#include <string>

#include "scenes.hpp"
#include "torchscript.hpp"
#include "support/shapes_net.hpp"

namespace support {

constexpr int64_t detector_stride = 16;     // pixels of a place of the last map
constexpr double detector_usual_size = 48;  // pixels of an object

/// A detector of one stage without anchors: each place of the last map may be the centre of one object, whose box and
/// class it gives. `[N, 3, H, W]`, values 0 to 1.
struct DetectorNetImpl : torch::nn::Module {
  torch::nn::Sequential features = shapes_features();
  torch::nn::Sequential head;  // 5 x 5 places are seen by it

  explicit DetectorNetImpl(int64_t classes) {
    add_convolution(head, shapes_channels, shapes_channels);
    const torch::nn::Conv2d last(torch::nn::Conv2dOptions(shapes_channels, 4 + classes, 3).padding(1));
    const torch::NoGradGuard no_gradients;
    last->bias.zero_();
    last->bias.slice(0, 4).fill_(-4);  // few places are centres
    head->push_back(last);
    register_module("features", features);
    register_module("head", head);
  }

  /// `[N, 4 + classes, H / 16, W / 16]`: how far the centre lies off the place, the logarithms of width and height, and
  /// the classes' scores before the sigmoid.
  torch::Tensor raw(const torch::Tensor& x) { return head->forward(features->forward(x)); }

  /// `[N, 4 + classes, boxes]`: centre x, y, width, height in pixels, a probability a class, as Ultralytics' detectors.
  torch::Tensor forward(const torch::Tensor& x) { return decoded(raw(x)); }

  static torch::Tensor decoded(const torch::Tensor& raw) {
    const torch::Tensor across = torch::arange(raw.size(3), raw.options()) + 0.5;
    const torch::Tensor down = torch::arange(raw.size(2), raw.options()).unsqueeze(1) + 0.5;
    const torch::Tensor x = (raw.select(1, 0) + across) * detector_stride;
    const torch::Tensor y = (raw.select(1, 1) + down) * detector_stride;
    const torch::Tensor sizes = raw.slice(1, 2, 4).exp() * detector_usual_size;
    return torch::cat({torch::stack({x, y}, 1), sizes, raw.slice(1, 4).sigmoid()}, 1).flatten(2);
  }
};
TORCH_MODULE(DetectorNet);

/// The trained network as TorchScript: a list of layers, of which the last gives the boxes, as Ultralytics' are.
inline torch::jit::Module to_torchscript(const DetectorNet& net) {
  const ScriptWriter writer;
  torch::jit::Module detect = writer.module("Detect");
  detect.register_module("layers", writer.sequential(*net->head));
  const std::string stride = std::to_string(detector_stride), size = std::to_string(detector_usual_size);
  detect.define(
      "def forward(self, x):\n"
      "  raw = self.layers.forward(x)\n"
      "  across = torch.arange(raw.size(3), dtype=raw.dtype, device=raw.device) + 0.5\n"
      "  down = torch.arange(raw.size(2), dtype=raw.dtype, device=raw.device).unsqueeze(1) + 0.5\n"
      "  x = (raw.select(1, 0) + across) * " +
      stride + "\n" + "  y = (raw.select(1, 1) + down) * " + stride + "\n" + "  sizes = raw.slice(1, 2, 4).exp() * " +
      size + "\n" + "  return torch.cat([torch.stack([x, y], 1), sizes, raw.slice(1, 4).sigmoid()], 1).flatten(2)\n");
  torch::jit::Module script = writer.module("DetectorNet");
  script.register_module("model", writer.sequential(*net->features, {detect}));
  script.define("def forward(self, x):\n  return self.model.forward(x)\n");
  return script;
}

/// What `explain` reads beside the script, as Ultralytics writes it: the task, the pictures' size, the classes' names.
inline std::string detector_config() {
  nlohmann::ordered_json config;
  config["task"] = "detect";
  config["stride"] = detector_stride;
  config["imgsz"] = {scene_side, scene_side};
  for (size_t i = 0; i < drawing::class_names().size(); ++i)
    config["names"][std::to_string(i)] = drawing::class_names()[i];
  return config.dump();
}

}  // namespace support
