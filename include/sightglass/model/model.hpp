#pragma once

#include <torch/nn/module.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/find_layers.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/trace/structure.hpp"

namespace sightglass {

namespace detail {
class Runner;
class ScriptModel;
class Splits;
}  // namespace detail

/// Whether what lies behind a layer, the tail, will be run again with other activations.
enum class Tail { once, again };

/// A model to explain: anything that gives a tensor, or a list, tuple or dictionary of tensors, for a picture.
///
/// A `torch::nn` handle, shared pointer or module, a `torch::jit::Module`, or one of them with a function beside it
/// where it takes more than a tensor: `Model(net, [&](const Tensor& x) { return net->forward(x, mask); })`,
/// `Model(script, [&](const Tensor& x) { return script.forward({x, table}); })`.
///
/// Hooks and captures of yours hear each run of the whole model as it is, whoever makes it: an explanation's own, those
/// that a method or a metric adds on other inputs, listing and summing up. They do not hear what lies behind a layer
/// run again with other activations, nor an `optimised` model.
class Model {
 public:
  /// From a tensor to what the model gives.
  using Forward = std::function<c10::IValue(const at::Tensor&)>;

  /// A network whose `forward` takes one tensor.
  template <class Net, class = std::enable_if_t<detail::is_module_like<Net>>>
  Model(const Net& net)  // NOLINT(google-explicit-constructor): a network is a model
      : module_(detail::root_of(net)), forward_(forward_of(net)) {}

  /// `forward`: from a tensor to what the model gives. Throws `c10::Error` where it, or a module, has no such
  /// form.
  template <class Net, class Fn, class = std::enable_if_t<detail::is_module_like<Net>>>
  Model(const Net& net, Fn forward) : module_(detail::root_of(net)), forward_(as_values(std::move(forward))) {}

  /// A TorchScript model whose `forward` takes one tensor, or a list of pictures `[C, *S]`, as torchvision's detectors
  /// do: the rows of the input.
  Model(const torch::jit::Module& script);  // NOLINT(google-explicit-constructor)

  /// `forward` calls the model's own `forward`; layers are followed there.
  template <class Fn, class = std::enable_if_t<std::is_invocable_v<Fn&, const at::Tensor&>>>
  Model(const torch::jit::Module& script, Fn forward) : Model(script) {
    forward_ = as_values(std::move(forward));
  }

  /// The same model, of whose outputs `path` is looked at: a key, a number, or both (`out`, `1`, `boxes.0`). Else the
  /// first floating-point tensor is.
  Model output(std::string path) const;
  /// The same by number.
  Model output(size_t index) const;
  /// The same by a function of all that it gives: `[N, ...]`, differentiable. `optimised` does not reach such a model.
  Model output(std::function<at::Tensor(const c10::IValue&)> choose) const;

  /// The same model for many explanations: what lies before a layer needs no graph, so from the second explanation at a
  /// layer on it runs in another form, frozen, batch norm folded into convolutions, and laid out for the CPU. Metrics,
  /// which need no graph at all, run all of it so.
  ///
  /// Made at the first explanation (or a metric's first run), for a `torch::nn` model once for each size of the input
  /// (by tracing, so its `forward` must not choose by values), and checked against it: activations and output agree to
  /// 1e-3 of the largest value (1e-6 is usual), or the model runs as it is, with a warning. Copies share what is made;
  /// it holds the weights once more. Weights that are written later are noticed. Hooks do not hear such runs (see
  /// above).
  Model optimised() const;
  /// The same model as it is.
  Model plain() const;

  /// Runs the model; the output that is looked at. Throws `c10::Error` where there is none.
  at::Tensor forward(const at::Tensor& input) const;

  /// Runs the model; all that it gives. TorchScript runs operation by operation (no profiling executor), at every call
  /// alike.
  c10::IValue values(const at::Tensor& input) const;

  /// The layer called `name`. Throws `c10::Error` for an unknown one, with the nearest.
  Layer layer(const std::string& name) const;
  /// A layer given by handle, found again in this model where its place cannot be told by itself (an element of a
  /// `Sequential`).
  Layer layer(const Layer& given) const;
  /// The same for a literal.
  Layer layer(const char* name) const;

  /// The layers for which `filter` is true, in the order of registration.
  std::vector<Layer> find_layers(const LayerFilter& filter) const;

  /// True where the model or any module in it is in training mode.
  bool is_training() const;

  /// How many rows an exported program takes that takes no other number of them; 0: the model takes any. More are run
  /// in parts of so many, wherever a method or a metric runs a model on variants of an input.
  int64_t fixed_batch() const { return fixed_batch_; }

  /// Throws `c10::Error` in training mode, in which a forward pass changes the model, and for a TorchScript file that
  /// was traced in it, which `eval()` does not change.
  void check_evaluation() const;

  /// Throws `c10::Error` where autograd cannot use a parameter.
  void check_differentiable() const;

  /// Parameters by name, in the order of registration.
  std::vector<std::pair<std::string, at::Tensor>> parameters() const;

  /// Tells `subscriber` of the calls of `layer` in `forward` above, by `tracker`.
  detail::Watch watch(std::shared_ptr<detail::Subscriber> subscriber, const Layer& layer,
                      std::shared_ptr<detail::Tracker> tracker = nullptr) const;

 private:
  friend class detail::Runner;

  /// `forward` of a module with its own type; abstract bases too.
  template <class Net>
  static Forward forward_of(const Net& net) {
    if constexpr (std::is_base_of_v<torch::nn::Module, Net>) {
      return forward_of(detail::lend(net));  // on the stack, it has to live as long as the model
    } else {
      auto* const module = &*detail::shared_impl(net);  // kept alive by `module_`
      return as_values([module](const at::Tensor& input) { return module->forward(input); });
    }
  }

  template <class Fn>
  static Forward as_values(Fn forward) {
    using Result = std::decay_t<std::invoke_result_t<Fn&, const at::Tensor&>>;
    static_assert(detail::has_value_form<Result>::value,
                  "the model's forward gives something else than tensors, and lists, tuples and dictionaries of them; "
                  "give a function beside it: sightglass::Model(net, [&](const torch::Tensor& x) { return "
                  "net->forward(x).logits; })");
    return [forward = std::move(forward)](const at::Tensor& input) mutable { return detail::to_value(forward(input)); };
  }

  /// False where the model runs as it is whatever is asked for.
  bool may_be_split() const { return splits_ != nullptr && choose_ == nullptr && !takes_list_; }

  /// True where we run a copy of the graph with marks, not the model's own `forward`.
  bool runs_marked() const { return script_ != nullptr && forward_ == nullptr; }

  std::shared_ptr<torch::nn::Module> module_;
  Forward forward_;
  std::shared_ptr<detail::ScriptModel> script_;
  std::shared_ptr<const torch::jit::Module> script_module_;
  int64_t fixed_batch_ = 0;
  bool takes_list_ = false;                               // of pictures, a TorchScript model
  std::function<at::Tensor(const c10::IValue&)> choose_;  // of outputs; null: by `output_`
  std::optional<std::string> output_;                     // none chosen: the first floating-point tensor
  std::shared_ptr<detail::Splits> splits_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/model_inl.hpp"
#endif
