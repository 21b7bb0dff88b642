#pragma once

#include <memory>
#include <string>
#include <vector>

#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/hooks/script_layer.hpp"

namespace sightglass {

/// How many calls of a layer a `Capture` keeps.
enum class Keep { last, all };
/// Whether what is captured stays part of the autograd graph.
enum class Graph { detached, connected };
/// Where it is kept.
enum class Storage { device, cpu };

/// Options of `Capture`, with chained setters: `CaptureOptions().keep(Keep::all).storage(Storage::cpu)`.
struct CaptureOptions {
  /// How many calls are kept; the last by default.
  CaptureOptions& keep(Keep value) { return set(keep_, value); }
  /// Whether values stay part of the graph; detached by default.
  CaptureOptions& graph(Graph value) { return set(graph_, value); }
  /// Where values are kept; on their device by default.
  CaptureOptions& storage(Storage value) { return set(storage_, value); }
  /// See the setter.
  Keep keep() const { return keep_; }
  /// See the setter.
  Graph graph() const { return graph_; }
  /// See the setter.
  Storage storage() const { return storage_; }

 private:
  template <class T>
  CaptureOptions& set(T& field, T value) {
    field = value;
    return *this;
  }
  Keep keep_ = Keep::last;
  Graph graph_ = Graph::detached;
  Storage storage_ = Storage::device;
};

namespace detail {
class CaptureStore;
}

/// Stores what goes into and comes out of a layer, and the gradient of its output: the chapter's `Hook` and `HookBwd`.
///
/// Values are those at the layer's end, also when an operation writes the same memory later; nothing is copied before
/// such a write. Move-only; belongs to the thread that made it; ends with its scope or `remove()`, after which the
/// values can still be read. Accessors throw `c10::Error` before the layer has run.
class [[nodiscard]] Capture {
 public:
  /// At a layer that is given by handle, or by `layer(model, name)`. Throws `c10::Error` where it cannot be watched.
  explicit Capture(const Layer& layer, const CaptureOptions& options = {});

  /// The layer called `name` in `model`.
  template <class Model>
  Capture(const Model& model, const std::string& name, const CaptureOptions& options = {})
      : Capture(sightglass::layer(model, name), options) {}

  /// The layer's path, or its type where it was given by handle.
  const std::string& name() const;

  /// The layer's (first) output at its last call.
  at::Tensor output() const;
  /// The output number `index`, lists, tuples and dictionaries flattened in order.
  at::Tensor output(size_t index) const;
  /// The output called `key` in the dictionary that the layer gives; `boxes.0` inside of nested ones.
  at::Tensor output(const std::string& key) const;
  /// The keys of the outputs of the last call, in order; empty for a layer that gives one tensor.
  std::vector<std::string> keys() const;
  /// All outputs of the last call, lists, tuples and dictionaries flattened; undefined where an output could not be
  /// had.
  std::vector<at::Tensor> outputs() const;
  /// The layer's (first) input at its last call, as it was given.
  at::Tensor input() const;
  /// All inputs of the last call; undefined where one could not be had.
  std::vector<at::Tensor> inputs() const;
  /// The gradient with respect to the (first) output, in the last backward pass that reached it.
  at::Tensor gradient() const;
  /// The same for the output number `index`, or called `key`.
  at::Tensor gradient(size_t index) const;
  /// The same for the output called `key`.
  at::Tensor gradient(const std::string& key) const;

  /// What one call of the layer left.
  struct Call {
    std::vector<at::Tensor> inputs;
    std::vector<at::Tensor> outputs;
    std::vector<at::Tensor> gradients;
    std::vector<std::string> keys;  ///< of the outputs; empty for one tensor
  };
  /// The calls kept, oldest first: one, or all with `Keep::all`.
  std::vector<Call> calls() const;

  /// Ends the capture; what was captured stays. May be called again.
  void remove();

 private:
  std::shared_ptr<detail::CaptureStore> store_;
  detail::Watch watch_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/capture_inl.hpp"
#endif
