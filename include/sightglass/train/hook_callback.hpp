#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/many.hpp"
#include "sightglass/train/recorded_batches.hpp"
#include "sightglass/train/watched_layers.hpp"

namespace sightglass {

/// What a `HookCallback` is told of: values in the forward pass, or gradients in the backward pass.
enum class Direction { forward, backward };
/// Whether hooks end with the training, or stay on afterwards for whatever the model does next.
enum class AtEnd { remove, keep };

/// Options of `HookCallback`, with chained setters.
struct HookCallbackOptions {
  /// Leaves with parameters; or `Paramless::include`, names, layers, a filter.
  HookCallbackOptions& layers(WatchedLayers value);
  /// Each batch whose number is a multiple of it.
  HookCallbackOptions& every(int64_t value) { return every_ = value, *this; }
  /// Values or gradients; values by default.
  HookCallbackOptions& direction(Direction value) { return direction_ = value, *this; }
  /// Detached by default.
  HookCallbackOptions& graph(Graph value) { return graph_ = value, *this; }
  /// On the CPU by default.
  HookCallbackOptions& storage(Storage value) { return storage_ = value, *this; }
  /// Removed by default.
  HookCallbackOptions& at_end(AtEnd value) { return at_end_ = value, *this; }

  /// See the setter.
  const WatchedLayers& layers() const { return layers_; }
  /// See the setter.
  int64_t every() const { return every_; }
  /// See the setter.
  Direction direction() const { return direction_; }
  /// See the setter.
  Graph graph() const { return graph_; }
  /// See the setter.
  Storage storage() const { return storage_; }
  /// See the setter.
  AtEnd at_end() const { return at_end_; }

 private:
  WatchedLayers layers_;
  int64_t every_ = 1;
  Direction direction_ = Direction::forward;
  Graph graph_ = Graph::detached;
  Storage storage_ = Storage::cpu;
  AtEnd at_end_ = AtEnd::remove;
};

/// One call of a layer, or one backward pass through it.
struct HookCall {
  const Layer& layer;
  size_t index;                     ///< of the layer in `HookCallback::layers()`
  int64_t batch;                    ///< the batch's number among those in training mode
  std::vector<at::Tensor> inputs;   ///< or the gradient with respect to the (first) input, where it needs one
  std::vector<at::Tensor> outputs;  ///< tuples flattened; or the gradient with respect to the (first) output
};

/// fastai's `HookCallback`: a function called with what chosen layers do in every n-th batch of a training loop.
///
/// `const auto fit = callback.fit();` and `const auto batch = fit.batch();` make its four calls; a loop may also make
/// them itself. Only batches that begin with the model in training mode count and are told of; between recorded batches
/// nothing is switched on. Belongs, during a batch, to the thread that began it; keeps the model alive.
class HookCallback {
 public:
  /// What is called.
  using Function = std::function<void(const HookCall&)>;

  /// Calls `function` of the layers of `model`: a handle, a shared pointer, or the module itself.
  template <class Model>
  HookCallback(const Model& model, Function function, const HookCallbackOptions& options = {})
      : HookCallback(detail::root_of(model), std::move(function), options, 0) {}
  HookCallback(const HookCallback&) = delete;
  HookCallback& operator=(const HookCallback&) = delete;

  /// Begins the training; batches are counted from here.
  void before_fit(int64_t first_batch = 0);
  /// Before the forward pass.
  void before_batch() { batches_.begin(); }
  /// After the optimiser's step.
  void after_batch() { batches_.end(); }
  /// The present batch is given up: its hooks end, and it does not count.
  void drop_batch() { batches_.drop(); }
  /// Ends the training.
  void after_fit();

  /// The calls as scopes.
  FitScope<HookCallback> fit(int64_t first_batch = 0) { return FitScope<HookCallback>(*this, first_batch); }
  /// Ends hooks that were kept on.
  void remove() { kept_.reset(); }

  /// The layers that are watched.
  const std::vector<Layer>& layers() const { return layers_; }

 private:
  HookCallback(const std::shared_ptr<torch::nn::Module>& root, Function function, const HookCallbackOptions& options,
               int);

  std::shared_ptr<void> watch();

  std::shared_ptr<std::vector<ForwardHook>> forward_hooks();

  std::shared_ptr<std::vector<BackwardHook>> backward_hooks();

  void tell(size_t index, std::vector<at::Tensor> inputs, std::vector<at::Tensor> outputs);

  HookCallbackOptions options_;
  Function function_;
  std::vector<Layer> layers_;
  detail::RecordedBatches batches_;
  std::shared_ptr<void> kept_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/hook_callback_inl.hpp"
#endif
