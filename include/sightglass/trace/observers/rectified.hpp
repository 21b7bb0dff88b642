#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// While it listens, gradients that come back to a ReLU's output lose what is below 0, as guided backpropagation wants
/// it: modules, functions and in-place ones alike, and ReLU6.
class RectifiedGradients final : public Onlooker {
 public:
  RectifiedGradients() : Onlooker(state().listener) {}

  void operation(const OperatorHandle& op, Stack& stack) override {
    run(op, stack);
    if (!is_relu(op.schema().name())) return;
    for (const at::Tensor& y : flat_tensors(results(op, stack))) {
      if (y.requires_grad()) change_gradient(y, [](const at::Tensor& gradient) { return gradient.relu(); });
    }
  }

 private:
  static bool is_relu(const std::string& name) {
    return name == "aten::relu" || name == "aten::relu_" || name == "aten::relu6" || name == "aten::relu6_" ||
           name == "aten::hardtanh" || name == "aten::hardtanh_";
  }
};

}  // namespace sightglass::detail
