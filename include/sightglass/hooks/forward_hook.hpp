#pragma once

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/script_layer.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/trace/subscriber.hpp"

namespace sightglass {

/// Calls a function after each call of a layer, as PyTorch's `register_forward_hook` does, on a model nobody changed.
///
/// `fn(const Layer&, const Tensor& input, const Tensor& output)`, or with `const std::vector<Tensor>&` for layers with
/// several inputs or outputs (lists, tuples and dictionaries are flattened); an input that cannot be had, or the output
/// of a layer that gives no tensor, is undefined. What it returns, a tensor (or the vector of all outputs), takes the
/// output's place. It runs unwatched; what it throws reaches the caller of `forward`. Move-only; belongs to the thread
/// that made it; ends with its scope or `remove()`.
class [[nodiscard]] ForwardHook {
 public:
  /// At a layer that is given by handle, or by `layer(model, name)`.
  template <class Fn>
  ForwardHook(Layer layer, Fn fn) : watch_(std::make_shared<Hook<Fn>>(layer, std::move(fn)), layer) {}

  /// The layer called `name` in `model`.
  template <class Model, class Fn>
  ForwardHook(const Model& model, const std::string& name, Fn fn)
      : ForwardHook(sightglass::layer(model, name), std::move(fn)) {}

  /// Ends the hook; may be called again.
  void remove() { watch_.remove(); }

 private:
  using Tensors = std::vector<at::Tensor>;

  template <class Fn>
  class Hook final : public detail::Subscriber {
   public:
    Hook(Layer layer, Fn fn) : layer_(std::move(layer)), fn_(std::move(fn)) {}

    void leave(const Tensors& inputs, Tensors& outputs) override {
      if constexpr (std::is_invocable_v<Fn&, const Layer&, const at::Tensor&, const at::Tensor&>) {
        static_assert(!std::is_invocable_v<Fn&, const Layer&, const Tensors&, const Tensors&>,
                      "fn: ambiguous arguments");
        call(outputs, inputs.empty() ? at::Tensor() : inputs.front(), outputs.empty() ? at::Tensor() : outputs.front());
      } else {
        static_assert(std::is_invocable_v<Fn&, const Layer&, const Tensors&, const Tensors&>,
                      "fn takes (const Layer&, const Tensor& input, const Tensor& output), or vectors of tensors");
        call(outputs, inputs, Tensors(outputs));
      }
    }
    void miss(const std::string& why) override {
      TORCH_WARN("sightglass: a call of layer \"", layer_.name(), "\" could not be followed: ", why);
    }

   private:
    template <class In, class Out>
    void call(Tensors& outputs, const In& input, Out output) {
      using Result = std::invoke_result_t<Fn&, const Layer&, const In&, const Out&>;
      if constexpr (std::is_void_v<Result>) {
        fn_(layer_, input, output);
      } else if constexpr (std::is_convertible_v<Result, at::Tensor>) {
        at::Tensor replaced = fn_(layer_, input, output);
        if (!replaced.defined()) return;
        TORCH_CHECK(!outputs.empty(), "fn: returned a tensor for layer \"", layer_.name(), "\", which gives none");
        outputs.front() = std::move(replaced);
      } else {
        Tensors replaced = fn_(layer_, input, output);
        TORCH_CHECK(replaced.size() == outputs.size(), "fn: returned ", replaced.size(), " tensors for the ",
                    outputs.size(), " outputs of layer \"", layer_.name(), "\"; return all of them, or nothing");
        outputs = std::move(replaced);
      }
    }

    Layer layer_;
    Fn fn_;
  };

  detail::Watch watch_;
};

}  // namespace sightglass
