#pragma once

#include <torch/script.h>

#include <string>

#include "support/nets/architectures.hpp"

/// The architectures as Python's `torch.jit.script` leaves them in a file: the same names, the same tensors.
namespace support {

/// The body of `forward`, in TorchScript.
inline std::string script_of_forward(const nn::Module& module) {
  const auto call = [](const std::string& child) { return "getattr(self, \"" + child + "\").forward(x)"; };
  const bool shortens = module.named_children().contains("downsample");
  const std::string skip = std::string("y = ") + (shortens ? "self.downsample.forward(x)" : "x") + "\n  ";
  if (const auto* conv = module.as<nn::Conv2dImpl>()) {
    const auto pair = [](int64_t value) { return "[" + std::to_string(value) + ", " + std::to_string(value) + "]"; };
    const int64_t padding = conv->options.kernel_size()->at(0) / 2;
    return "return torch.conv2d(x, self.weight, None, " + pair(conv->options.stride()->at(0)) + ", " + pair(padding) +
           ", [1, 1], " + std::to_string(conv->options.groups()) + ")";
  }
  if (module.as<nn::BatchNorm2dImpl>() != nullptr) {
    return "assert x.dim() == 4, 'expected 4D input'\n  if self.training:\n    self.num_batches_tracked.add_(1)\n  "
           "return torch.batch_norm(x, self.weight, "
           "self.bias, self.running_mean, self.running_var, self.training, 0.1, 0.00001, True)";
  }
  if (module.as<nn::LinearImpl>() != nullptr) return "return torch.linear(x, self.weight, self.bias)";
  if (module.as<nn::ReLU6Impl>() != nullptr) return "return torch.hardtanh_(x, 0., 6.)";
  if (module.as<nn::DropoutImpl>() != nullptr) return "return torch.dropout(x, 0.2, self.training)";
  if (module.as<nn::SequentialImpl>() != nullptr) {
    std::string body;
    for (const auto& child : module.named_children()) body += "x = " + call(child.key()) + "\n  ";
    return body + "return x";
  }
  if (const auto* block = dynamic_cast<const InvertedResidualImpl*>(&module)) {
    return block->residual() ? "return x + self.conv.forward(x)" : "return self.conv.forward(x)";
  }
  if (dynamic_cast<const BasicBlockImpl*>(&module) != nullptr) {
    return skip +
           "x = torch.relu_(self.bn1.forward(self.conv1.forward(x)))\n  x = self.bn2.forward("
           "self.conv2.forward(x))\n  x += y\n  return torch.relu_(x)";
  }
  if (dynamic_cast<const BottleneckImpl*>(&module) != nullptr) {
    return skip +
           "x = torch.relu_(self.bn1.forward(self.conv1.forward(x)))\n  x = torch.relu_(self.bn2.forward("
           "self.conv2.forward(x)))\n  x = self.bn3.forward(self.conv3.forward(x))\n  x += y\n  return "
           "torch.relu_(x)";
  }
  if (module.named_children().contains("features")) {
    return "return self.classifier.forward(self.features.forward(x).mean([2, 3]))";
  }
  return "x = torch.max_pool2d(torch.relu_(self.bn1.forward(self.conv1.forward(x))), [3, 3], [2, 2], [1, 1])\n  x = "
         "self.layer4.forward(self.layer3.forward(self.layer2.forward(self.layer1.forward(x))))\n  return "
         "self.fc.forward(torch.flatten(torch.adaptive_avg_pool2d(x, [1, 1]), 1))";
}

inline torch::jit::Module scripted(const nn::Module& module) {
  // LibTorch 1.13 takes types of one name for one type, and never ends when such a type contains itself.
  static int count = 0;
  torch::jit::Module script("__torch__.Scripted" + std::to_string(count++));
  script.register_attribute("training", c10::BoolType::get(), module.is_training());
  for (const auto& item : module.named_parameters(false)) script.register_parameter(item.key(), item.value(), false);
  for (const auto& item : module.named_buffers(false)) script.register_buffer(item.key(), item.value());
  for (const auto& item : module.named_children()) script.register_module(item.key(), scripted(*item.value()));
  script.define("def forward(self, x):\n  " + script_of_forward(module) + "\n");
  return script;
}

}  // namespace support
