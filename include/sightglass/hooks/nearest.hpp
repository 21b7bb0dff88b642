#pragma once

#include "sightglass/trace/nearest.hpp"

namespace sightglass {

/// `nearest(wanted, names)`: the three of `names` that a mistyped one may have meant, for messages: `"layer4",
/// "layer3"`.
using detail::nearest;

}  // namespace sightglass
