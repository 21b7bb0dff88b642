#pragma once

#include <string>

#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// Operations that hold graphs: branches (`torch.cond`), loops (`while_loop`), and parts that ran without gradients.
/// Throws for others, by name.
/// @param name `cond`, `while_loop`, ...
void insert_higher_order(GraphValues& values, const Json& node, const std::string& name);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/higher_order_inl.hpp"
#endif
