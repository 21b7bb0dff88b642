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
LayerFilter named(std::string pattern);

/// Layers without submodules.
LayerFilter leaves();

/// The layers of `model` for which `filter` is true, in the order of registration.
std::vector<Layer> find_layers(const std::shared_ptr<torch::nn::Module>& model, const LayerFilter& filter = leaves());
/// The same for whatever a model is given as.
template <class Model, class = std::enable_if_t<detail::is_module_like<Model>>>
std::vector<Layer> find_layers(const Model& model, const LayerFilter& filter = leaves()) {
  return find_layers(detail::root_of(model), filter);
}

/// The same for a TorchScript model.
std::vector<Layer> find_layers(const torch::jit::Module& model, const LayerFilter& filter = leaves());

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/find_layers_inl.hpp"
#endif
