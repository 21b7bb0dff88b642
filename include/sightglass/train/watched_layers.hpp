#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sightglass/hooks/find_layers.hpp"

namespace sightglass {

/// Whether layers without parameters of their own (activations, pooling) are among the layers watched by default.
enum class Paramless { skip, include };

/// Which layers of a model are watched in training: its leaves with parameters, unless told otherwise.
///
/// By default, layers that cannot be watched from outside are left out with a warning; those asked for are an error.
class WatchedLayers {
 public:
  WatchedLayers(Paramless paramless = Paramless::skip)  // NOLINT(google-explicit-constructor)
      : choice_(paramless) {}
  WatchedLayers(std::vector<Layer> layers) : choice_(std::move(layers)) {}      // NOLINT
  WatchedLayers(std::vector<std::string> names) : choice_(std::move(names)) {}  // NOLINT
  WatchedLayers(std::initializer_list<const char*> names)                       // NOLINT
      : choice_(std::vector<std::string>(names.begin(), names.end())) {}
  WatchedLayers(LayerFilter filter) : choice_(std::move(filter)) {}  // NOLINT

  /// The layers of `root` that were chosen, each with its path in the model for a name.
  std::vector<Layer> of(const std::shared_ptr<torch::nn::Module>& root) const {
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

 private:
  std::vector<Layer> candidates(const std::shared_ptr<torch::nn::Module>& root) const {
    if (const auto* layers = std::get_if<std::vector<Layer>>(&choice_)) return *layers;
    if (const auto* filter = std::get_if<LayerFilter>(&choice_)) return find_layers(root, *filter);
    if (const auto* names = std::get_if<std::vector<std::string>>(&choice_)) {
      std::vector<Layer> chosen;
      for (const std::string& name : *names) chosen.push_back(layer(root, name));
      return chosen;
    }
    return leaves_of(root, std::get<Paramless>(choice_));
  }

  static std::vector<Layer> leaves_of(const std::shared_ptr<torch::nn::Module>& root, Paramless paramless) {
    std::string refused;
    std::vector<Layer> chosen = find_layers(root, [&](const Layer& layer) {
      if (!layer.is_leaf() || (paramless == Paramless::skip && layer.module()->parameters(false).empty())) return false;
      if (layer.place().problem.empty()) return true;
      refused += (refused.empty() ? "\"" : ", \"") + layer.name() + "\" (" + layer.place().problem + ")";
      return false;
    });
    if (!refused.empty()) TORCH_WARN("sightglass: these layers are not watched: ", refused);
    return chosen;
  }

  /// A layer given by its handle does not know its path.
  static std::string name_in(const torch::nn::Module& root, const Layer& layer) {
    const auto module = layer.module();
    for (const auto& item : root.named_modules("", false)) {
      if (item.value() == module) return item.key();
    }
    return layer.name();
  }

  std::variant<Paramless, std::vector<Layer>, std::vector<std::string>, LayerFilter> choice_;
};

}  // namespace sightglass
