#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// An attention map that ran, `[..., T, T]`, and the gradient at it once a backward pass has reached it.
struct AttentionMap {
  std::vector<int64_t> sizes;
  at::Tensor gradient;
};

/// While it listens, notes each self-attention map: a softmax over the last dimension of `[..., T, T]`. The backward
/// pass then brings each its gradient.
///
/// LibTorch's fused attention hides its map; here it is computed in the open instead, to the same values.
class AttentionGradients final : public Onlooker {
 public:
  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  /// In the order in which they ran.
  const std::vector<std::shared_ptr<AttentionMap>>& maps() const;

 private:
  void note(const at::Tensor& map);

  void run_in_the_open(const OperatorHandle& op, Stack& stack);

  static c10::IValue& argument(const std::string& name, const OperatorHandle& op, Stack& stack);

  std::vector<std::shared_ptr<AttentionMap>> maps_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/attention_inl.hpp"
#endif
