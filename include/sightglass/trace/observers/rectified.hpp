#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "sightglass/inline.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// While it listens, gradients that come back to a ReLU's output lose what is below 0, as guided backpropagation wants
/// it: modules, functions and in-place ones alike, and ReLU6.
class RectifiedGradients final : public Onlooker {
 public:
  RectifiedGradients() : Onlooker(thread_state().listener) {}

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

 private:
  static bool is_relu(const std::string& name);
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/observers/rectified_inl.hpp"
#endif
