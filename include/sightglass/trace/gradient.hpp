#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/edge.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"

/// Gradients at one exact point of the autograd graph, whatever is written in place afterwards.
namespace sightglass::detail {

namespace autograd = torch::autograd;

/// A `std::shared_ptr<Node>` in older releases, a `c10::intrusive_ptr<Node>` in newer ones.
using NodePointer = decltype(autograd::Edge::function);

/// Where a graph is made to begin: a node without inputs.
struct GraphStart final : autograd::Node {
  autograd::variable_list apply(autograd::variable_list&& /*gradients*/) override { return {}; }
};

/// A node that changes nothing.
struct PassOn final : autograd::Node {
  SIGHTGLASS_INLINE autograd::variable_list apply(autograd::variable_list&& gradients) override;
};

template <class Made, class Pointer = NodePointer>
Pointer make_node() {
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<autograd::Node>>) {
    return std::make_shared<Made>();
  } else {
    return c10::make_intrusive<Made>();
  }
}

/// Makes the graph begin at `y`, unless it has one: `y` becomes an ordinary tensor with history, which may be written
/// in place. Returns a handle with the gradient edge that `y` has now: `autograd::grad({score}, {handle})` is the
/// gradient with respect to `y` as it is at this moment. The handle shares memory with `y`.
at::Tensor begin_graph(const at::Tensor& y);

/// Makes the tensor that the model holds already be another: its values and its history, not by writing over what
/// autograd has saved.
void become(const at::Tensor& held, const at::Tensor& other);

/// In each backward pass, the gradient with respect to `y` as it is at this moment becomes `change(gradient)`.
void change_gradient(const autograd::Edge& edge, std::function<at::Tensor(const at::Tensor&)> change);
void change_gradient(const at::Tensor& y, std::function<at::Tensor(const at::Tensor&)> change);

/// Calls `told(gradient)` in each backward pass with the gradient with respect to `y` as it is at this moment.
void on_gradient(const at::Tensor& y, std::function<void(const at::Tensor&)> told);

/// Where a view lies in its base.
struct ViewPart {
  ViewPart() = default;
  ViewPart(const at::Tensor& view, const at::Tensor& base);

  /// The view's part of `whole`, which is as the base is.
  at::Tensor of(const at::Tensor& whole) const;

  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  int64_t offset = 0;
  std::vector<int64_t> base_sizes;
  std::vector<int64_t> base_strides;
};

/// The same for what a layer gives. A view that is written in place later leaves the graph: its base then tells.
void on_output_gradient(const at::Tensor& y, const std::function<void(const at::Tensor&)>& told);

/// Sees a part of a graph apart from the rest: from construction on, what reads or writes `x` has its gradients pass
/// through a node of their own, of which `told(gradient)` learns in each backward pass. `end()` puts `x` back, so that
/// what reads it afterwards does not count; where `x` was written in place, it has gone on from here, and stays.
class Detour {
 public:
  /// `x` is no leaf, and has gradients.
  Detour(at::Tensor x, std::function<void(const at::Tensor&)> told);

  void end();

 private:
  at::Tensor x_;
  int64_t version_;
  autograd::Edge before_;
  autograd::Edge own_;
};

/// A view of `x` with a gradient, also where the operation under way keeps autograd out.
at::Tensor view_with_graph(const at::Tensor& x);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/gradient_inl.hpp"
#endif
