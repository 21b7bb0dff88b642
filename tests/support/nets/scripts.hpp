#pragma once

/// TorchScript models, compiled here as Python's `torch.jit.script` and `torch.jit.trace` leave them in a file.

#include <torch/script.h>

#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace scripts {

namespace jit = torch::jit;
using torch::Tensor;

inline jit::Module empty(const std::string& type) {
  jit::Module module("__torch__." + type);
  module.register_attribute("training", c10::BoolType::get(), false);
  return module;
}

/// A convolution of 3 by 3 that keeps the size.
inline jit::Module conv(int64_t in, int64_t out) {
  jit::Module module = empty("Conv2d");
  module.register_parameter("weight", torch::randn({out, in, 3, 3}) * 0.3, false);
  module.register_parameter("bias", torch::randn({out}), false);
  module.define("def forward(self, x):\n  return torch.conv2d(x, self.weight, self.bias, [1, 1], [1, 1])\n");
  return module;
}

/// As a tracer writes it: all constants are there.
inline jit::Module traced_conv(int64_t in, int64_t out) {
  jit::Module module = empty("TracedConv2d");
  module.register_parameter("weight", torch::randn({out, in, 3, 3}) * 0.3, false);
  module.register_parameter("bias", torch::randn({out}), false);
  module.define(
      "def forward(self, x):\n"
      "  return torch._convolution(x, self.weight, self.bias, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, False, False, "
      "True, "
      "True)\n");
  return module;
}

inline jit::Module linear(int64_t in, int64_t out) {
  jit::Module module = empty("Linear");
  module.register_parameter("weight", torch::randn({out, in}), false);
  module.register_parameter("bias", torch::randn({out}), false);
  module.define("def forward(self, x):\n  return torch.linear(x, self.weight, self.bias)\n");
  return module;
}

/// Looks at the number of dimensions first. Counts its batches while it trains: by a new tensor (older files), or in
/// place (newer ones).
inline jit::Module batch_norm(int64_t channels, bool in_place = true) {
  jit::Module module = empty(in_place ? "BatchNorm2dInPlace" : "BatchNorm2d");
  module.register_parameter("weight", torch::rand({channels}) + 0.5, false);
  module.register_parameter("bias", torch::randn({channels}), false);
  module.register_buffer("running_mean", torch::randn({channels}));
  module.register_buffer("running_var", torch::rand({channels}) + 0.5);
  module.register_buffer("num_batches_tracked", torch::zeros({}, torch::kLong));
  const std::string count =
      in_place ? "self.num_batches_tracked.add_(1)" : "self.num_batches_tracked = self.num_batches_tracked + 1";
  module.define(
      "def forward(self, x):\n  assert x.dim() == 4, 'expected 4D input'\n  if self.training:\n    " + count +
      "\n  return torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training, 0.1, "
      "0.00001, True)\n");
  return module;
}

/// A submodule without parameters: `body` is an expression of x.
inline jit::Module function(const std::string& type, const std::string& body) {
  jit::Module module = empty(type);
  module.define("def forward(self, x):\n  return " + body + "\n");
  return module;
}

/// A module that owns others and calls them in `forward`.
inline jit::Module make(const std::string& type, const std::vector<std::pair<std::string, jit::Module>>& children,
                        const std::string& source) {
  jit::Module module = empty(type);
  for (const auto& [name, child] : children) module.register_module(name, child);
  module.define(source);
  return module;
}

/// Scripted: batch norm with `if training`, parameterless submodules, a method beside `forward`, a `ModuleList`.
inline jit::Module net(bool counts_in_place = true) {
  const jit::Module blocks =
      make("ModuleList", {{"0", conv(4, 4)}, {"1", conv(4, 4)}}, "def length(self):\n  return 2\n");
  return make("Net",
              {{"conv1", conv(3, 4)},
               {"bn1", batch_norm(4, counts_in_place)},
               {"relu", function("ReLU", "torch.relu(x)")},
               {"blocks", blocks},
               {"pool", function("AdaptiveAvgPool2d", "torch.adaptive_avg_pool2d(x, [1, 1])")},
               {"fc", linear(4, 5)}},
              "def features(self, x):\n"
              "  x = self.relu.forward(self.bn1.forward(self.conv1.forward(x)))\n"
              "  x = self.relu.forward(getattr(self.blocks, \"0\").forward(x))\n"
              "  return getattr(self.blocks, \"1\").forward(x)\n"
              "def forward(self, x):\n"
              "  x = self.features(x)\n"
              "  return self.fc.forward(torch.flatten(self.pool.forward(x), 1))\n");
}

/// Traced: a chain of calls, an operation in place right after a layer.
inline jit::Module traced_net() {
  const jit::Module block =
      make("TracedBlock", {{"conv", traced_conv(4, 4)}, {"act", function("TracedReLU", "torch.relu_(x)")}},
           "def forward(self, x):\n"
           "  y = self.conv.forward(x)\n"
           "  y = torch.add_(y, x, alpha=1)\n"
           "  return self.act.forward(y)\n");
  return make("TracedNet", {{"stem", traced_conv(3, 4)}, {"block", block}, {"fc", linear(4, 5)}},
              "def forward(self, x):\n"
              "  x = torch.relu_(self.stem.forward(x))\n"
              "  x = self.block.forward(x)\n"
              "  x = torch.mean(x, [2, 3], False, dtype=None)\n"
              "  return torch.log_softmax(self.fc.forward(x), 1, None)\n");
}

/// Control flow: which branch runs, and how often a layer is called, is known at run time only.
inline jit::Module branching_net() {
  const jit::Module block = make("Branching",
                                 {{"conv", conv(3, 3)},
                                  {"relu", function("BranchReLU", "torch.relu(x)")},
                                  {"tanh", function("Tanh", "torch.tanh(x)")}},
                                 "def forward(self, x):\n"
                                 "  y = self.conv.forward(x)\n"
                                 "  if bool(x.mean() > 0):\n"
                                 "    y = self.relu.forward(y)\n"
                                 "  else:\n"
                                 "    y = self.tanh.forward(y) - 1\n"
                                 "  for i in range(2):\n"
                                 "    y = self.conv.forward(y) + x\n"
                                 "  return y\n");
  return make("BranchingNet", {{"block", block}}, "def forward(self, x):\n  return self.block.forward(x) * 2\n");
}

/// The model after a journey through a file.
inline jit::Module reloaded(const jit::Module& module) {
  std::stringstream file;
  module.save(file);
  return jit::load(file);
}

inline jit::Module child(jit::Module module, const std::vector<std::string>& path) {
  for (const std::string& name : path) module = module.attr(name).toModule();
  return module;
}

inline Tensor run(jit::Module module, const Tensor& x) { return module.forward({x}).toTensor(); }

}  // namespace scripts
