#pragma once

#include "sightglass/hooks/layer.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/find_place.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Layer::Layer(detail::Place place) : place_(std::make_shared<const detail::Place>(std::move(place))) {}

SIGHTGLASS_INLINE Layer::Layer(const std::shared_ptr<torch::nn::Module>& module)
    : Layer(detail::place_of_module(module)) {}

SIGHTGLASS_INLINE const std::string& Layer::name() const { return place_->name; }

SIGHTGLASS_INLINE const std::string& Layer::type() const { return place_->type; }

SIGHTGLASS_INLINE std::shared_ptr<torch::nn::Module> Layer::module() const { return place_->module.lock(); }

SIGHTGLASS_INLINE bool Layer::is_leaf() const { return place_->leaf; }

SIGHTGLASS_INLINE Layer Layer::output(const std::string& key) const {
  detail::Place place = *place_;
  place.output = key;
  return Layer(std::move(place));
}

SIGHTGLASS_INLINE Layer Layer::output(size_t index) const { return output(std::to_string(index)); }

SIGHTGLASS_INLINE Layer Layer::call(size_t index) const {
  detail::Place place = *place_;
  place.call = index;
  return Layer(std::move(place));
}

SIGHTGLASS_INLINE Layer layer(const std::shared_ptr<torch::nn::Module>& model, const std::string& name) {
  TORCH_CHECK(model != nullptr, "model: got a null pointer");
  return Layer(detail::place_by_name(model, name));
}

}  // namespace sightglass
