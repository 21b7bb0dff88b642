#pragma once

#include "sightglass/hooks/layer.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Layer::Layer(detail::Place place) : place_(std::move(place)) {}

SIGHTGLASS_INLINE Layer Layer::output(const std::string& key) const {
  detail::Place place = place_;
  place.output = key;
  return Layer(std::move(place));
}

SIGHTGLASS_INLINE Layer Layer::output(size_t index) const { return output(std::to_string(index)); }

}  // namespace sightglass
