#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

/// Names that a misspelt one may have meant.
namespace sightglass::detail {

/// Levenshtein's distance.
size_t edit_distance(const std::string& a, const std::string& b);

/// What tells names apart: letters and digits, in lower case, dots, and the bytes of letters that ASCII lacks.
std::string letters_of(const std::string& text);

/// The three nearest of `names`, as `"layer4", "layer3"`; `none` where there are none. First those that hold the wanted
/// word, shorter ones before, then those that fewest edits lead to; case and other punctuation do not count.
std::string nearest(const std::string& wanted, const std::vector<std::string>& names);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/nearest_inl.hpp"
#endif
