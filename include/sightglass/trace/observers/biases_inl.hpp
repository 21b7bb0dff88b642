#pragma once

#include "sightglass/trace/observers/biases.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void BiasGradients::operation(const OperatorHandle& op, Stack& stack) {
  const at::Tensor bias = bias_of(op, stack);
  run(op, stack);
  if (!bias.defined()) return;
  const at::Tensor y = stack[stack.size() - op.schema().returns().size()].toTensor();
  if (!y.requires_grad()) return;
  const auto term = std::make_shared<BiasTerm>(BiasTerm{bias.detach(), {}});
  terms_.push_back(term);
  on_gradient(y, [term](const at::Tensor& gradient) { term->gradient = gradient.detach(); });
}

SIGHTGLASS_INLINE at::Tensor BiasGradients::bias_of(const OperatorHandle& op, const Stack& stack) {
  const std::string& name = op.schema().name();
  const bool convolves = name.rfind("aten::conv", 0) == 0 || name.rfind("aten::_conv", 0) == 0;
  const bool normalises = name.find("batch_norm") != std::string::npos;
  if (!convolves && !normalises) return {};
  const at::NoGradGuard no_gradients;
  const at::Tensor bias = tensor_called("bias", op, stack);
  return convolves ? bias : batch_norm_bias(bias, op, stack);
}

SIGHTGLASS_INLINE at::Tensor BiasGradients::batch_norm_bias(const at::Tensor& beta, const OperatorHandle& op,
                                                            const Stack& stack) {
  const at::Tensor mean = tensor_called("running_mean", op, stack), var = tensor_called("running_var", op, stack);
  if (!mean.defined() || !var.defined()) return beta;  // the batch's own statistics: no constant
  const at::Tensor gamma = tensor_called("weight", op, stack);
  const c10::IValue* const eps = argument_called("eps", op, stack);
  TORCH_CHECK(eps != nullptr, op.schema().name(), ": has no argument eps");
  at::Tensor shift = mean * (var + eps->toDouble()).rsqrt();
  if (gamma.defined()) shift = shift * gamma;
  return beta.defined() ? beta - shift : -shift;
}

SIGHTGLASS_INLINE at::Tensor BiasGradients::tensor_called(const std::string& name, const OperatorHandle& op,
                                                          const Stack& stack) {
  const c10::IValue* const value = argument_called(name, op, stack);
  return value != nullptr && value->isTensor() ? value->toTensor() : at::Tensor();
}

}  // namespace sightglass::detail
