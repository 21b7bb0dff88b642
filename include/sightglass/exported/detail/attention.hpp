#pragma once

#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// `aten::scaled_dot_product_attention` for a LibTorch from before 2.0, which lacks it: the formula of its
/// documentation, https://pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
void insert_attention(GraphValues& values, const Json& node);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/attention_inl.hpp"
#endif
