#pragma once

#include <string>

#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// Puts an operation of the program at the graph's insertion point, in the form that this LibTorch takes; what it gives
/// is made known. Throws for one that this LibTorch lacks, by name.
void insert_operation(GraphValues& values, const Json& node);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/insert_operation_inl.hpp"
#endif
