#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/find_layers.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "sightglass/trace/nearest.hpp"

namespace sightglass {

/// What becomes of layers that cannot be watched from outside, when many are: an error that names all of them with
/// their reasons, or they are left out (`Guards::refused` tells which).
enum class OnRefusal { error, leave_out };

/// A layer that was left out, and why.
struct RefusedLayer {
  std::string name;
  std::string type;
  std::string reason;
};

/// One guard a layer, all made and removed together: `ForwardHooks`, `BackwardHooks`, `Captures`.
template <class Guard>
class [[nodiscard]] Guards {
 public:
  /// `arguments` are those of `Guard` after the layer.
  template <class... Arguments>
  explicit Guards(const std::vector<Layer>& layers, const Arguments&... arguments)
      : Guards(layers, OnRefusal::error, arguments...) {}
  /// The same, and what becomes of layers that cannot be watched.
  template <class... Arguments>
  Guards(const std::vector<Layer>& layers, OnRefusal on_refusal, const Arguments&... arguments) {
    if (on_refusal == OnRefusal::error) detail::check_can_be_watched(layers);
    for (const Layer& layer : layers) {
      if (const std::string& reason = layer.place().problem; !reason.empty()) {
        refused_.push_back({layer.name(), layer.type(), reason});
        continue;
      }
      names_.push_back(layer.name());
      guards_.emplace_back(layer, arguments...);
    }
  }
  /// At the layers of `model` for which `filter` is true.
  template <class Model, class... Arguments,
            class = std::enable_if_t<!std::is_convertible_v<Model, std::vector<Layer>>>>
  explicit Guards(const Model& model, const LayerFilter& filter, const Arguments&... arguments)
      : Guards(find_layers(model, filter), arguments...) {}

  /// How many layers are watched.
  size_t size() const { return guards_.size(); }
  /// Their names, in order.
  const std::vector<std::string>& names() const { return names_; }
  /// The layers that were left out (`OnRefusal::leave_out`).
  const std::vector<RefusedLayer>& refused() const { return refused_; }
  /// The guard number `index`.
  Guard& operator[](size_t index) { return guards_.at(index); }
  /// The guard of the layer called `name`. Throws `c10::Error` for an unknown one, with the nearest.
  Guard& operator[](const std::string& name) {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return guards_[i];
    }
    TORCH_CHECK(false, "no layer \"", name, "\" is watched here; nearest: ", detail::nearest(name, names_));
  }
  /// The guards, one after the other.
  auto begin() { return guards_.begin(); }
  /// Behind the last one.
  auto end() { return guards_.end(); }

  /// Ends them all; may be called again.
  void remove() {
    for (Guard& guard : guards_) guard.remove();
  }

 private:
  std::vector<std::string> names_;
  std::vector<Guard> guards_;
  std::vector<RefusedLayer> refused_;
};

/// A `ForwardHook` at each of many layers.
using ForwardHooks = Guards<ForwardHook>;
/// A `BackwardHook` at each of many layers.
using BackwardHooks = Guards<BackwardHook>;
/// A `Capture` at each of many layers.
using Captures = Guards<Capture>;

}  // namespace sightglass
