#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"

namespace sightglass {

/// Chooses layers by name, type, or anything else; `of_type`, `named`, `leaves` below are some, a lambda is as good.
using LayerFilter = std::function<bool(const Layer&)>;

/// Layers whose module is an `Impl`: `of_type<torch::nn::Conv2dImpl>()`.
template <class Impl>
LayerFilter of_type() {
  return [](const Layer& layer) { return dynamic_cast<const Impl*>(layer.module().get()) != nullptr; };
}

/// Layers whose name matches `pattern`, where `*` stands for any characters: `named("layer*.conv1")`.
inline LayerFilter named(std::string pattern) {
  return [pattern = std::move(pattern)](const Layer& layer) {
    const std::string& name = layer.name();
    size_t n = 0;
    size_t p = 0;
    size_t star = std::string::npos;
    size_t resume = 0;
    while (n < name.size()) {
      if (p < pattern.size() && pattern[p] == '*') {
        star = p++;
        resume = n;
      } else if (p < pattern.size() && pattern[p] == name[n]) {
        ++p;
        ++n;
      } else if (star != std::string::npos) {
        p = star + 1;
        n = ++resume;
      } else {
        return false;
      }
    }
    while (p < pattern.size() && pattern[p] == '*') ++p;
    return p == pattern.size();
  };
}

/// Layers without submodules.
inline LayerFilter leaves() {
  return [](const Layer& layer) { return layer.is_leaf(); };
}

/// The layers of `model` for which `filter` is true, in the order of registration.
template <class Model, class = std::enable_if_t<detail::is_module_like<Model>>>
std::vector<Layer> find_layers(const Model& model, const LayerFilter& filter = leaves()) {
  std::vector<Layer> chosen;
  const auto root = detail::root_of(model);
  for (const auto& item : root->named_modules("", false)) {
    Layer layer(detail::place_by_name(root, item.key(), {}));
    if (filter(layer)) chosen.push_back(std::move(layer));
  }
  return chosen;
}

/// One guard a layer, all made and removed together: `ForwardHooks`, `BackwardHooks`, `Captures`.
template <class Guard>
class [[nodiscard]] Guards {
 public:
  /// `arguments` are those of `Guard` after the layer.
  template <class... Arguments>
  explicit Guards(const std::vector<Layer>& layers, const Arguments&... arguments) {
    for (const Layer& layer : layers) {
      names_.push_back(layer.name());
      guards_.emplace_back(layer, arguments...);
    }
  }
  template <class Model, class... Arguments, class = std::enable_if_t<!std::is_convertible_v<Model, std::vector<Layer>>>>
  explicit Guards(const Model& model, const LayerFilter& filter, const Arguments&... arguments)
      : Guards(find_layers(model, filter), arguments...) {}

  size_t size() const { return guards_.size(); }
  const std::vector<std::string>& names() const { return names_; }
  Guard& operator[](size_t index) { return guards_.at(index); }
  Guard& operator[](const std::string& name) {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == name) return guards_[i];
    }
    TORCH_CHECK(false, "no layer \"", name, "\" is watched here; nearest: ", detail::nearest(name, names_));
  }
  auto begin() { return guards_.begin(); }
  auto end() { return guards_.end(); }

  void remove() {
    for (Guard& guard : guards_) guard.remove();
  }

 private:
  std::vector<std::string> names_;
  std::vector<Guard> guards_;
};

using ForwardHooks = Guards<ForwardHook>;
using BackwardHooks = Guards<BackwardHook>;
using Captures = Guards<Capture>;

}  // namespace sightglass
