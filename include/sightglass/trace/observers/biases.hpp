#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// What a convolution or batch norm adds to each of its channels, and the gradient at its output.
struct BiasTerm {
  at::Tensor bias;      ///< `[C]`
  at::Tensor gradient;  ///< `[N, C, *S]`, once a backward pass has reached it; undefined where none has
};

/// While it listens, notes the bias of each convolution and batch norm that runs; the backward pass then brings each
/// its gradient, whatever was written in place afterwards.
///
/// It sees operations, not modules: functions and TorchScript are served alike. In evaluation, batch norm is a scale
/// and a bias, `beta - gamma * mean / sqrt(var + eps)`.
class BiasGradients final : public Onlooker {
 public:
  BiasGradients() : Onlooker(thread_state().listener) {}

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  /// In the order in which they ran.
  const std::vector<std::shared_ptr<BiasTerm>>& terms() const { return terms_; }

 private:
  /// `[C]`; undefined for other operations, and where nothing is added.
  static at::Tensor bias_of(const OperatorHandle& op, const Stack& stack);

  static at::Tensor batch_norm_bias(const at::Tensor& beta, const OperatorHandle& op, const Stack& stack);

  static at::Tensor tensor_called(const std::string& name, const OperatorHandle& op, const Stack& stack);

  std::vector<std::shared_ptr<BiasTerm>> terms_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/biases_inl.hpp"
#endif
