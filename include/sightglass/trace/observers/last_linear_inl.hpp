#pragma once

#include "sightglass/trace/observers/last_linear.hpp"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/generated/Functions.h>

#include <cstdint>
#include <utility>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// The columns of `gradient` `[N, K]` that hold anything but zeros.
template <class Number>
std::vector<int64_t> columns_in_use(const at::Tensor& gradient) {
  const at::Tensor values = gradient.to(c10::CppTypeToScalarType<Number>::value).contiguous();
  const Number* const data = values.data_ptr<Number>();
  const int64_t columns = values.size(1);
  std::vector<int64_t> used;
  for (int64_t column = 0; column < columns; ++column) {
    bool any = false;
    for (int64_t row = 0; row < values.size(0); ++row) any = any || data[row * columns + column] != 0;
    if (any) used.push_back(column);
  }
  return used;
}

/// The linear layer that made `output` `[N, K]`; null where something else did.
SIGHTGLASS_INLINE autograd::generated::AddmmBackward0* last_linear(const at::Tensor& output) {
  if (output.dim() != 2 || !output.requires_grad() || output.is_leaf()) return nullptr;
  auto* const linear = dynamic_cast<autograd::generated::AddmmBackward0*>(output.grad_fn().get());
  const bool plain = linear != nullptr && linear->alpha.toDouble() == 1 && linear->next_edge(1).is_valid();
  return plain ? linear : nullptr;
}

SIGHTGLASS_INLINE std::optional<Onward> before_last_linear_of_classes(const at::Tensor& output,
                                                                      const at::Tensor& classes) {
  auto* const linear = last_linear(output);
  if (linear == nullptr) return std::nullopt;
  const at::NoGradGuard no_graph;
  return Onward{linear->next_edge(1), linear->mat2_.unpack().t().index_select(0, classes)};
}

SIGHTGLASS_INLINE std::optional<Onward> before_last_linear(const at::Tensor& output, const at::Tensor& gradient) {
  auto* const linear = last_linear(output);
  if (linear == nullptr) return std::nullopt;
  const at::NoGradGuard no_graph;
  std::vector<int64_t> in_use =
      gradient.scalar_type() == at::kFloat ? columns_in_use<float>(gradient) : columns_in_use<double>(gradient);
  constexpr int64_t few = 8;
  const auto count = static_cast<int64_t>(in_use.size());
  if (count == 0 || count * few > gradient.size(1)) return std::nullopt;
  const at::Tensor classes = at::from_blob(in_use.data(), {count}, at::kLong);
  const at::Tensor rows = linear->mat2_.unpack().t().index_select(0, classes);  // [K', C]
  return Onward{linear->next_edge(1), at::mm(gradient.index_select(1, classes), rows)};
}

SIGHTGLASS_INLINE std::vector<at::Tensor> gradients_onward(const Onward& onward,
                                                           const std::vector<at::Tensor>& handles) {
  autograd::edge_list ends;
  for (const at::Tensor& handle : handles) ends.push_back(autograd::impl::gradient_edge(handle));
  return autograd::Engine::get_default_engine().execute({onward.edge}, {onward.gradient}, /*keep_graph=*/true,
                                                        /*create_graph=*/false, /*accumulate_grad=*/false, ends);
}

SIGHTGLASS_INLINE std::vector<at::Tensor> gradients_of(const at::Tensor& score, const at::Tensor& output,
                                                       const std::vector<at::Tensor>& handles,
                                                       const at::Tensor& classes) {
  if (classes.defined()) {
    if (const auto onward = before_last_linear_of_classes(output, classes)) return gradients_onward(*onward, handles);
  }
  const at::Tensor ones = at::ones_like(score);
  // Elsewhere than on the CPU one would wait for the values, and for a backward pass more.
  if (output.is_cpu() && last_linear(output) != nullptr && !output.is_same(score)) {
    const at::Tensor at_output = torch::autograd::grad({score}, {output}, {ones}, /*retain_graph=*/true,
                                                       /*create_graph=*/false, /*allow_unused=*/true)
                                     .front();
    if (at_output.defined()) {
      if (const auto onward = before_last_linear(output, at_output)) return gradients_onward(*onward, handles);
    }
  }
  return torch::autograd::grad({score}, handles, {ones}, /*retain_graph=*/true, /*create_graph=*/false,
                               /*allow_unused=*/true);
}

}  // namespace sightglass::detail
