#pragma once

#include "sightglass/hooks/find_layers.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/find_place.hpp"
#include "sightglass/trace/script/script.hpp"

namespace sightglass {

SIGHTGLASS_INLINE LayerFilter named(std::string pattern) {
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

SIGHTGLASS_INLINE LayerFilter leaves() {
  return [](const Layer& layer) { return layer.is_leaf(); };
}

SIGHTGLASS_INLINE std::vector<Layer> find_layers(const std::shared_ptr<torch::nn::Module>& model,
                                                 const LayerFilter& filter) {
  TORCH_CHECK(model != nullptr, "model: got a null pointer");
  std::vector<Layer> chosen;
  for (detail::Place& place : detail::all_places(model)) {
    Layer layer(std::move(place));
    if (filter(layer)) chosen.push_back(std::move(layer));
  }
  return chosen;
}

SIGHTGLASS_INLINE std::vector<Layer> find_layers(const torch::jit::Module& model, const LayerFilter& filter) {
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
