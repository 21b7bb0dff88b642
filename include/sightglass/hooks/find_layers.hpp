#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/script_layer.hpp"

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
  for (detail::Place& place : detail::all_places(detail::root_of(model))) {
    Layer layer(std::move(place));
    if (filter(layer)) chosen.push_back(std::move(layer));
  }
  return chosen;
}

/// The same for a TorchScript model.
inline std::vector<Layer> find_layers(const torch::jit::Module& model, const LayerFilter& filter = leaves()) {
  std::vector<Layer> chosen;
  const auto owner = detail::ScriptModel::of(model);
  for (const auto& item : model.named_modules()) {
    if (item.name.empty()) continue;
    Layer candidate(detail::place_in_script(owner, item.name, item.value));
    if (filter(candidate)) chosen.push_back(std::move(candidate));
  }
  return chosen;
}

}  // namespace sightglass
