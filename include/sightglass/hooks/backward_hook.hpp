#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/script_layer.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/trace/subscriber.hpp"
#include "sightglass/trace/gradient_share.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// Calls a function in the backward pass of a layer: `fn(const Layer&, const Tensor& grad_input, const Tensor&
/// grad_output)`.
///
/// `grad_output` is the gradient with respect to the layer's (first) output as it leaves the layer, whatever is written
/// in place afterwards, also by the layer itself (where PyTorch's module hooks refuse or go wrong); zeros where only
/// other outputs have one. `grad_input` is the layer's own share of the gradient with respect to its (first) input,
/// undefined where the input needs none or could not be had in time. A layer that returns its very input has the
/// gradient there for both. On CUDA the function runs on autograd's thread. Move-only; belongs to the thread that made
/// it; ends with its scope or `remove()`.
class [[nodiscard]] BackwardHook {
 public:
  /// At a layer that is given by handle, or by `layer(model, name)`.
  template <class Fn>
  BackwardHook(Layer layer, Fn fn) : watch_(std::make_shared<Hook<Fn>>(layer, std::move(fn)), layer) {
    static_assert(std::is_invocable_v<Fn&, const Layer&, const at::Tensor&, const at::Tensor&>,
                  "fn takes (const Layer&, const Tensor& grad_input, const Tensor& grad_output)");
  }

  /// The layer called `name` in `model`.
  template <class Model, class Fn>
  BackwardHook(const Model& model, const std::string& name, Fn fn)
      : BackwardHook(sightglass::layer(model, name), std::move(fn)) {}

  /// Ends the hook, also for backward passes of graphs that exist already; may be called again.
  void remove() { watch_.remove(); }

 private:
  template <class Fn>
  class Hook final : public detail::Subscriber, public std::enable_shared_from_this<Hook<Fn>> {
   public:
    Hook(Layer layer, Fn fn) : layer_(std::move(layer)), fn_(std::move(fn)) {}

    at::Tensor enter(size_t index, const at::Tensor& input, detail::Arrival arrival) override {
      if (index != 0 || arrival == detail::Arrival::late || !detail::makes_graph() || !input.requires_grad())
        return input;
      return calls_.enter(input, [weak = this->weak_from_this()](const at::Tensor& in, const at::Tensor& out) {
        if (const auto hook = weak.lock()) hook->call(in, out);
      });
    }

    void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
      calls_.leave(outputs.empty() ? at::Tensor() : outputs.front(),
                   [weak = this->weak_from_this()](const at::Tensor& in, const at::Tensor& out) {
                     if (const auto hook = weak.lock()) hook->call(in, out);
                   });
    }

    void miss(const std::string& why) override {
      calls_.drop();
      TORCH_WARN("sightglass: a call of layer \"", layer_.name(), "\" could not be followed: ", why);
    }

    void call(const at::Tensor& grad_input, const at::Tensor& grad_output) {
      if (!this->removed()) fn_(layer_, grad_input, grad_output);
    }

   private:
    Layer layer_;
    Fn fn_;
    detail::GradientShare calls_;
  };

  detail::Watch watch_;
};

}  // namespace sightglass
