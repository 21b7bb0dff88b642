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
  autograd::variable_list apply(autograd::variable_list&& gradients) override { return std::move(gradients); }
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
inline at::Tensor begin_graph(const at::Tensor& y) {
  if (!y.requires_grad()) {
    NodePointer start = make_node<GraphStart>();
    start->add_input_metadata(y);
    autograd::impl::set_gradient_edge(y, autograd::Edge(std::move(start), 0));
  }
  at::Tensor handle = y.variable_data();
  autograd::impl::set_gradient_edge(handle, autograd::impl::gradient_edge(y));
  return handle;
}

/// Makes the tensor that the model holds already be another: its values and its history, not by writing over what
/// autograd has saved.
inline void become(const at::Tensor& held, const at::Tensor& other) {
  held.set_data(other);
  if (other.requires_grad()) {
    autograd::impl::set_gradient_edge(held, autograd::impl::gradient_edge(other));
  } else if (held.requires_grad() && !held.is_leaf()) {
    autograd::impl::set_gradient_edge(held, autograd::Edge());
  }
}

/// In each backward pass, the gradient with respect to `y` as it is at this moment becomes `change(gradient)`.
inline void change_gradient(const autograd::Edge& edge, std::function<at::Tensor(const at::Tensor&)> change) {
  class Hook final : public autograd::FunctionPreHook {
   public:
    Hook(size_t index, std::function<at::Tensor(const at::Tensor&)> change)
        : index_(index), change_(std::move(change)) {}
    autograd::variable_list operator()(const autograd::variable_list& gradients) override {
      autograd::variable_list changed = gradients;
      if (index_ < changed.size() && changed[index_].defined()) changed[index_] = change_(changed[index_]);
      return changed;
    }

   private:
    size_t index_;
    std::function<at::Tensor(const at::Tensor&)> change_;
  };
  edge.function->add_pre_hook(std::make_unique<Hook>(edge.input_nr, std::move(change)));
}
inline void change_gradient(const at::Tensor& y, std::function<at::Tensor(const at::Tensor&)> change) {
  change_gradient(autograd::impl::gradient_edge(y), std::move(change));
}

/// Calls `told(gradient)` in each backward pass with the gradient with respect to `y` as it is at this moment.
inline void on_gradient(const at::Tensor& y, std::function<void(const at::Tensor&)> told) {
  change_gradient(y, [told = std::move(told)](const at::Tensor& gradient) {
    told(gradient);
    return gradient;
  });
}

/// Where a view lies in its base.
struct ViewPart {
  ViewPart() = default;
  ViewPart(const at::Tensor& view, const at::Tensor& base)
      : sizes(view.sizes().vec()),
        strides(view.strides().vec()),
        offset(view.storage_offset() - base.storage_offset()),
        base_sizes(base.sizes().vec()),
        base_strides(base.strides().vec()) {}

  /// The view's part of `whole`, which is as the base is.
  at::Tensor of(const at::Tensor& whole) const {
    const at::Tensor laid_out = at::empty_strided(base_sizes, base_strides, whole.options()).copy_(whole);
    return laid_out.as_strided(sizes, strides, offset);
  }

  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
  int64_t offset = 0;
  std::vector<int64_t> base_sizes;
  std::vector<int64_t> base_strides;
};

/// The same for what a layer gives. A view that is written in place later leaves the graph: its base then tells.
inline void on_output_gradient(const at::Tensor& y, const std::function<void(const at::Tensor&)>& told) {
  at::Tensor base;
  if (y.is_view()) base = y._base();
  if (!base.defined() || !base.requires_grad() || base.is_leaf()) return on_gradient(y, told);
  const auto has_told = std::make_shared<bool>(false);
  on_gradient(y, [told, has_told](const at::Tensor& gradient) {
    *has_told = true;
    told(gradient);
  });
  const c10::VariableVersion counter = y.unsafeGetTensorImpl()->version_counter();
  const uint32_t version = counter.current_version();
  on_gradient(base, [told, has_told, counter, version, part = ViewPart(y, base)](const at::Tensor& gradient) {
    if (!std::exchange(*has_told, false) && counter.current_version() != version) told(part.of(gradient));
  });
}

/// Sees a part of a graph apart from the rest: from construction on, what reads or writes `x` has its gradients pass
/// through a node of their own, of which `told(gradient)` learns in each backward pass. `end()` puts `x` back, so that
/// what reads it afterwards does not count; where `x` was written in place, it has gone on from here, and stays.
class Detour {
 public:
  /// `x` is no leaf, and has gradients.
  Detour(at::Tensor x, std::function<void(const at::Tensor&)> told)
      : x_(std::move(x)), version_(x_._version()), before_(autograd::impl::gradient_edge(x_)) {
    NodePointer node = make_node<PassOn>();
    node->add_input_metadata(x_);
    node->add_next_edge(before_);
    own_ = autograd::Edge(std::move(node), 0);
    change_gradient(own_, [told = std::move(told)](const at::Tensor& gradient) {
      told(gradient);
      return gradient;
    });
    autograd::impl::set_gradient_edge(x_, own_);
  }

  void end() {
    const bool is_written = x_._version() != version_;
    if (!is_written || autograd::impl::gradient_edge(x_) == own_) autograd::impl::set_gradient_edge(x_, before_);
  }

 private:
  at::Tensor x_;
  int64_t version_;
  autograd::Edge before_;
  autograd::Edge own_;
};

/// A view of `x` with a gradient, also where the operation under way keeps autograd out.
inline at::Tensor view_with_graph(const at::Tensor& x) {
  const c10::impl::LocalDispatchKeySet before = c10::impl::tls_local_dispatch_key_set();
  struct PutBack {
    const c10::impl::LocalDispatchKeySet& keys;
    ~PutBack() { c10::impl::_force_tls_local_dispatch_key_set(keys); }
  } const put_back{before};
  c10::impl::LocalDispatchKeySet with_autograd = before;
  with_autograd.excluded_ = before.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView;
  c10::impl::_force_tls_local_dispatch_key_set(with_autograd);
  return x.view_as(x);
}

}  // namespace sightglass::detail
