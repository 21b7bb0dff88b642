#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

/// Names that a misspelt one may have meant.
namespace sightglass::detail {

/// Levenshtein's distance.
size_t edit_distance(const std::string& a, const std::string& b);

/// The three nearest of `names`, as `"layer4", "layer3"`.
std::string nearest(const std::string& wanted, const std::vector<std::string>& names);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/nearest_inl.hpp"
#endif
