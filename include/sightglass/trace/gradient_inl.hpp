#pragma once

#include "sightglass/trace/gradient.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE autograd::variable_list PassOn::apply(autograd::variable_list&& gradients) {
  return std::move(gradients);
}

SIGHTGLASS_INLINE at::Tensor begin_graph(const at::Tensor& y) {
  if (!y.requires_grad()) {
    NodePointer start = make_node<GraphStart>();
    start->add_input_metadata(y);
    autograd::impl::set_gradient_edge(y, autograd::Edge(std::move(start), 0));
  }
  at::Tensor handle = y.variable_data();
  autograd::impl::set_gradient_edge(handle, autograd::impl::gradient_edge(y));
  return handle;
}

SIGHTGLASS_INLINE void become(const at::Tensor& held, const at::Tensor& other) {
  held.set_data(other);
  if (other.requires_grad()) {
    autograd::impl::set_gradient_edge(held, autograd::impl::gradient_edge(other));
  } else if (held.requires_grad() && !held.is_leaf()) {
    autograd::impl::set_gradient_edge(held, autograd::Edge());
  }
}

SIGHTGLASS_INLINE void change_gradient(const autograd::Edge& edge,
                                       std::function<at::Tensor(const at::Tensor&)> change) {
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

SIGHTGLASS_INLINE void change_gradient(const at::Tensor& y, std::function<at::Tensor(const at::Tensor&)> change) {
  change_gradient(autograd::impl::gradient_edge(y), std::move(change));
}

SIGHTGLASS_INLINE void on_gradient(const at::Tensor& y, std::function<void(const at::Tensor&)> told) {
  change_gradient(y, [told = std::move(told)](const at::Tensor& gradient) {
    told(gradient);
    return gradient;
  });
}

SIGHTGLASS_INLINE ViewPart::ViewPart(const at::Tensor& view, const at::Tensor& base)
    : sizes(view.sizes().vec()),
      strides(view.strides().vec()),
      offset(view.storage_offset() - base.storage_offset()),
      base_sizes(base.sizes().vec()),
      base_strides(base.strides().vec()) {}

SIGHTGLASS_INLINE at::Tensor ViewPart::of(const at::Tensor& whole) const {
  const at::Tensor laid_out = at::empty_strided(base_sizes, base_strides, whole.options()).copy_(whole);
  return laid_out.as_strided(sizes, strides, offset);
}

SIGHTGLASS_INLINE void on_output_gradient(const at::Tensor& y, const std::function<void(const at::Tensor&)>& told) {
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

SIGHTGLASS_INLINE Detour::Detour(at::Tensor x, std::function<void(const at::Tensor&)> told)
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

SIGHTGLASS_INLINE void Detour::end() {
  const bool is_written = x_._version() != version_;
  if (!is_written || autograd::impl::gradient_edge(x_) == own_) autograd::impl::set_gradient_edge(x_, before_);
}

SIGHTGLASS_INLINE at::Tensor view_with_graph(const at::Tensor& x) {
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
