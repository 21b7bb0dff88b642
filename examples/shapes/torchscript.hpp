#pragma once

#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>
#include <torch/script.h>

#include <array>
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "support/shapes_net.hpp"

// A trained torch::nn network as TorchScript, without Python: LibTorch compiles TorchScript's source in C++.
namespace support {

/// Makes TorchScript modules of `torch::nn` layers in evaluation mode. Their tensors are copies.
class ScriptWriter {
 public:
  /// A module without anything in it but the attribute that `eval` and `train` set.
  torch::jit::Module module(const std::string& type) const {
    torch::jit::Module made("__torch__." + type, compiled_, /*shouldMangle=*/true);
    made.register_attribute("training", c10::BoolType::get(), false);
    return made;
  }

  torch::jit::Module conv(const torch::nn::Conv2dImpl& layer) const {
    torch::jit::Module made = module("Conv2d");
    const auto& options = layer.options;
    const std::string bias = layer.bias.defined() ? "self.bias" : "None";
    add(made, "weight", layer.weight);
    if (layer.bias.defined()) add(made, "bias", layer.bias);
    using std::get;  // c10::get, found by its argument, on LibTorch 1.13.1; both throw where the padding is no numbers
    const auto& padding = get<torch::ExpandingArray<2>>(options.padding());
    return with_forward(made, "torch.conv2d(x, self.weight, " + bias + ", " + list(*options.stride()) + ", " +
                                  list(*padding) + ", " + list(*options.dilation()) + ", " +
                                  std::to_string(options.groups()) + ")");
  }

  torch::jit::Module batch_norm(const torch::nn::BatchNorm2dImpl& layer) const {
    torch::jit::Module made = module("BatchNorm2d");
    add(made, "weight", layer.weight);
    add(made, "bias", layer.bias);
    made.register_buffer("running_mean", layer.running_mean.detach().clone());
    made.register_buffer("running_var", layer.running_var.detach().clone());
    std::ostringstream epsilon;
    epsilon << std::scientific << layer.options.eps();
    return with_forward(
        made, "torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, False, 0.0, " +
                  epsilon.str() + ", False)");
  }

  torch::jit::Module linear(const torch::nn::LinearImpl& layer) const {
    torch::jit::Module made = module("Linear");
    add(made, "weight", layer.weight);
    add(made, "bias", layer.bias);
    return with_forward(made, "torch.linear(x, self.weight, self.bias)");
  }

  torch::jit::Module relu() const { return with_forward(module("ReLU"), "torch.relu(x)"); }

  torch::jit::Module max_pool(const torch::nn::MaxPool2dImpl& layer) const {
    return with_forward(module("MaxPool2d"), "torch.max_pool2d(x, " + list(*layer.options.kernel_size()) + ")");
  }

  torch::jit::Module average_pool(const torch::nn::AvgPool2dImpl& layer) const {
    return with_forward(module("AvgPool2d"), "torch.avg_pool2d(x, " + list(*layer.options.kernel_size()) + ")");
  }

  /// A container of the kinds of layers above, with the same names, "0", "1", ..., and of further modules behind them.
  torch::jit::Module sequential(const torch::nn::SequentialImpl& layers,
                                const std::vector<torch::jit::Module>& further = {}) const {
    torch::jit::Module made = module("Sequential");
    std::string source = "def forward(self, x):\n";
    const auto add_layer = [&](const std::string& name, const torch::jit::Module& layer) {
      made.register_module(name, layer);
      source += "  x = getattr(self, \"" + name + "\").forward(x)\n";
    };
    for (const auto& child : layers.named_children()) add_layer(child.key(), any(*child.value()));
    for (const torch::jit::Module& layer : further) add_layer(std::to_string(made.children().size()), layer);
    made.define(source + "  return x\n");
    return made;
  }

 private:
  torch::jit::Module any(const torch::nn::Module& layer) const {
    if (const auto* conv2d = layer.as<torch::nn::Conv2dImpl>()) return conv(*conv2d);
    if (const auto* norm = layer.as<torch::nn::BatchNorm2dImpl>()) return batch_norm(*norm);
    if (const auto* pool = layer.as<torch::nn::MaxPool2dImpl>()) return max_pool(*pool);
    if (const auto* pool = layer.as<torch::nn::AvgPool2dImpl>()) return average_pool(*pool);
    TORCH_CHECK(layer.as<torch::nn::ReLUImpl>() != nullptr, "layer: no TorchScript is known for a ", layer.name());
    return relu();
  }

  static void add(torch::jit::Module& made, const std::string& name, const torch::Tensor& parameter) {
    made.register_parameter(name, parameter.detach().clone(), /*is_buffer=*/false);
  }

  static torch::jit::Module with_forward(torch::jit::Module made, const std::string& expression) {
    made.define("def forward(self, x):\n  return " + expression + "\n");
    return made;
  }

  static std::string list(const std::array<int64_t, 2>& pair) {
    return "[" + std::to_string(pair[0]) + ", " + std::to_string(pair[1]) + "]";
  }

  // One for all: modules call each other only within a compilation unit.
  std::shared_ptr<torch::jit::CompilationUnit> compiled_ = std::make_shared<torch::jit::CompilationUnit>();
};

/// The trained network as TorchScript, with the same names of layers. Its norm must have been folded.
inline torch::jit::Module to_torchscript(const ShapesNet& net) {
  TORCH_CHECK(net->pooled_norm.is_empty(), "net: its pooled_norm is not folded; call fold_norm() after the training");
  const ScriptWriter writer;
  torch::jit::Module script = writer.module("ShapesNet");
  script.register_module("features", writer.sequential(*net->features));
  script.register_module("classifier", writer.linear(*net->classifier));
  script.define(
      "def forward(self, x):\n"
      "  return self.classifier.forward(self.features.forward(x).mean([2, 3]))\n");
  return script;
}

}  // namespace support
