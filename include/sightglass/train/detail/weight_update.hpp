#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "sightglass/trace/scopes.hpp"

/// How much an optimiser's step changes parameters.
namespace sightglass::detail {

/// The sums of squares of what changed and of what was, `[2]`, in double precision on the tensors' device.
at::Tensor squares_of_change(const at::Tensor& now, const at::Tensor& before);

/// Copies of parameters, and how far the parameters have moved away from them since. Those that are frozen when the
/// copies are taken are left out. The memory of the copies is kept for the next time.
class WeightCopies {
 public:
  explicit WeightCopies(std::vector<at::Tensor> parameters);

  void take();

  /// The norm of the change by the norm of what was, `[1]` float on the parameters' device; undefined when all are
  /// frozen.
  at::Tensor ratio() const;

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<at::Tensor> copies_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/detail/weight_update_inl.hpp"
#endif
