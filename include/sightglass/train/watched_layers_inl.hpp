#pragma once

#include "sightglass/train/watched_layers.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/find_place.hpp"

namespace sightglass {

SIGHTGLASS_INLINE WatchedLayers::WatchedLayers(std::vector<Layer> layers) : choice_(std::move(layers)) {}

SIGHTGLASS_INLINE WatchedLayers::WatchedLayers(std::vector<std::string> names) : choice_(std::move(names)) {}

SIGHTGLASS_INLINE WatchedLayers::WatchedLayers(LayerFilter filter) : choice_(std::move(filter)) {}

SIGHTGLASS_INLINE std::vector<Layer> WatchedLayers::of(const std::shared_ptr<torch::nn::Module>& root) const {
  std::vector<Layer> chosen = candidates(root);
  TORCH_CHECK(!chosen.empty(), "layers: none of ", detail::type_name(*root),
              " was chosen; by default they are its leaves with parameters");
  for (Layer& layer : chosen) {
    const std::string name = name_in(*root, layer);
    if (name == layer.name()) continue;
    detail::Place place = layer.place();
    place.name = name;
    layer = Layer(std::move(place));
  }
  return chosen;
}

SIGHTGLASS_INLINE std::vector<Layer> WatchedLayers::candidates(const std::shared_ptr<torch::nn::Module>& root) const {
  if (const auto* layers = std::get_if<std::vector<Layer>>(&choice_)) return *layers;
  if (const auto* filter = std::get_if<LayerFilter>(&choice_)) return find_layers(root, *filter);
  if (const auto* names = std::get_if<std::vector<std::string>>(&choice_)) {
    std::vector<Layer> chosen;
    for (const std::string& name : *names) chosen.push_back(layer(root, name));
    return chosen;
  }
  return leaves_of(root, std::get<Paramless>(choice_));
}

SIGHTGLASS_INLINE std::vector<Layer> WatchedLayers::leaves_of(const std::shared_ptr<torch::nn::Module>& root,
                                                              Paramless paramless) {
  std::string refused;
  std::vector<Layer> chosen = find_layers(root, [&](const Layer& layer) {
    if (!layer.is_leaf() || (paramless == Paramless::skip && layer.module()->parameters(false).empty())) return false;
    if (layer.place().problem.empty()) return true;
    refused += (refused.empty() ? "\"" : ", \"") + layer.name() + "\" (" + layer.place().problem + ")";
    return false;
  });
  if (!refused.empty()) {
    TORCH_WARN("sightglass: these layers are not watched: ", refused);
  }
  return chosen;
}

SIGHTGLASS_INLINE std::string WatchedLayers::name_in(const torch::nn::Module& root, const Layer& layer) {
  const auto module = layer.module();
  for (const auto& item : root.named_modules("", false)) {
    if (item.value() == module) return item.key();
  }
  return layer.name();
}

}  // namespace sightglass
