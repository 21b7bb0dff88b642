#pragma once

#include "sightglass/trace/observers/rectified.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void RectifiedGradients::operation(const OperatorHandle& op, Stack& stack) {
  run(op, stack);
  if (!is_relu(op.schema().name())) return;
  for (const at::Tensor& y : flat_tensors(results(op, stack))) {
    if (y.requires_grad()) change_gradient(y, [](const at::Tensor& gradient) { return gradient.relu(); });
  }
}

SIGHTGLASS_INLINE bool RectifiedGradients::is_relu(const std::string& name) {
  return name == "aten::relu" || name == "aten::relu_" || name == "aten::relu6" || name == "aten::relu6_" ||
         name == "aten::hardtanh" || name == "aten::hardtanh_";
}

}  // namespace sightglass::detail
