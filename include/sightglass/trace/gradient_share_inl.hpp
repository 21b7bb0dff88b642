#pragma once

#include "sightglass/trace/gradient_share.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor GradientShare::enter(const at::Tensor& input, const Callback& told) {
  drop();
  shared_ = std::make_shared<Shared>();
  const auto tell = [shared = shared_, told](const at::Tensor& gradient) { shared->tell_input(gradient, told); };
  // Leaves stay leaves, so that autograd refuses to have them written. Such a view can be written by nobody.
  if (input.is_leaf() || input.retains_grad()) {
    at::Tensor own = view_with_graph(input);
    if (!own.requires_grad()) return input;
    on_gradient(own, tell);
    input_ = own;
    version_ = version_of(own);
    return own;
  }
  input_ = input;
  version_ = version_of(input);
  detours_.emplace_back(input, tell);
  at::Tensor base;
  if (input.is_view()) base = input._base();
  if (base.defined() && base.requires_grad() && !base.is_leaf() && !base.retains_grad()) {
    // What writes a view goes on from the whole.
    shared_->part = ViewPart(input, base);
    detours_.emplace_back(base, [shared = shared_, told](const at::Tensor& gradient) {
      if (shared->is_written) told(shared->part.of(gradient), shared->output_gradient());
    });
  }
  return input;
}

SIGHTGLASS_INLINE void GradientShare::leave(const at::Tensor& output, const Callback& told) {
  const std::shared_ptr<Shared> shared = std::exchange(shared_, nullptr);
  const at::Tensor input = std::exchange(input_, at::Tensor());
  std::vector<Detour> detours = std::exchange(detours_, {});
  if (!output.defined() || !output.requires_grad()) {
    for (Detour& detour : detours) detour.end();
    return;
  }
  if (shared == nullptr || !input.defined()) {
    return on_output_gradient(output, [told](const at::Tensor& gradient) { told(at::Tensor(), gradient); });
  }
  shared->has_output = true;
  shared->output_sizes = output.sizes().vec();
  shared->output_options = output.options();
  shared->is_written = version_of(input) != version_;
  shared->is_passed_on = !shared->is_written && output.is_same(input);
  if (shared->is_passed_on) return;  // what comes later reads it behind the detour
  for (Detour& detour : detours) detour.end();
  on_output_gradient(output, [shared](const at::Tensor& gradient) { shared->of_output = gradient; });
}

SIGHTGLASS_INLINE void GradientShare::drop() {
  for (Detour& detour : detours_) detour.end();
  detours_.clear();
  shared_.reset();
  input_.reset();
}

SIGHTGLASS_INLINE void GradientShare::Shared::tell_input(const at::Tensor& gradient, const Callback& told) {
  if (is_written && !part.sizes.empty()) return;  // the base tells
  if (is_passed_on) return told(gradient, gradient);
  if (has_output) told(gradient, output_gradient());
}

SIGHTGLASS_INLINE at::Tensor GradientShare::Shared::output_gradient() {
  at::Tensor gradient = std::exchange(of_output, at::Tensor());
  return gradient.defined() ? gradient : at::zeros(output_sizes, output_options);
}

}  // namespace sightglass::detail
