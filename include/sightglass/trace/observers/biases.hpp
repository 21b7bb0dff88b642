#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// What a convolution or batch norm adds to each of its channels, and the gradient at its output.
struct BiasTerm {
  at::Tensor bias;      ///< `[C]`
  at::Tensor gradient;  ///< `[N, C, *S]`, once a backward pass has come by; undefined where none has
};

/// While it listens, notes the bias of each convolution and batch norm that runs; the backward pass then brings each
/// its gradient, whatever was written in place afterwards.
///
/// It sees operations, not modules: functions and TorchScript are served alike. In evaluation, batch norm is a scale
/// and a bias, `beta - gamma * mean / sqrt(var + eps)`.
class BiasGradients final : public Onlooker {
 public:
  BiasGradients() : Onlooker(state().listener) {}

  void operation(const OperatorHandle& op, Stack& stack) override {
    const at::Tensor bias = bias_of(op, stack);
    run(op, stack);
    if (!bias.defined()) return;
    const at::Tensor y = stack[stack.size() - op.schema().returns().size()].toTensor();
    if (!y.requires_grad()) return;
    const auto term = std::make_shared<BiasTerm>(BiasTerm{bias.detach(), {}});
    terms_.push_back(term);
    on_gradient(y, [term](const at::Tensor& gradient) { term->gradient = gradient.detach(); });
  }

  /// In the order in which they ran.
  const std::vector<std::shared_ptr<BiasTerm>>& terms() const { return terms_; }

 private:
  /// `[C]`; undefined for other operations, and where nothing is added.
  static at::Tensor bias_of(const OperatorHandle& op, const Stack& stack) {
    const std::string& name = op.schema().name();
    const bool convolves = name.rfind("aten::conv", 0) == 0 || name.rfind("aten::_conv", 0) == 0;
    const bool normalises = name.find("batch_norm") != std::string::npos;
    if (!convolves && !normalises) return {};
    const at::NoGradGuard no_gradients;
    const at::Tensor bias = tensor_called("bias", op, stack);
    return convolves ? bias : batch_norm_bias(bias, op, stack);
  }

  static at::Tensor batch_norm_bias(const at::Tensor& beta, const OperatorHandle& op, const Stack& stack) {
    const at::Tensor mean = tensor_called("running_mean", op, stack), var = tensor_called("running_var", op, stack);
    if (!mean.defined() || !var.defined()) return beta;  // the batch's own statistics: no constant
    const at::Tensor gamma = tensor_called("weight", op, stack);
    const c10::IValue* const eps = argument_called("eps", op, stack);
    TORCH_CHECK(eps != nullptr, op.schema().name(), ": has no argument eps");
    at::Tensor shift = mean * (var + eps->toDouble()).rsqrt();
    if (gamma.defined()) shift = shift * gamma;
    return beta.defined() ? beta - shift : -shift;
  }

  static at::Tensor tensor_called(const std::string& name, const OperatorHandle& op, const Stack& stack) {
    const c10::IValue* const value = argument_called(name, op, stack);
    return value != nullptr && value->isTensor() ? value->toTensor() : at::Tensor();
  }

  std::vector<std::shared_ptr<BiasTerm>> terms_;
};

}  // namespace sightglass::detail
