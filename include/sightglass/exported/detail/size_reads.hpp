#pragma once

#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// Whether an operation only asks a tensor for its size.
bool reads_size(const Json& node);

/// Has sizes read from tensors that are needed afterwards. The export reads a size from whatever tensor had it first,
/// be it amid a layer; such a tensor would have to leave the layer beside what the layer gives.
void settle_size_reads(Json& graph);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/size_reads_inl.hpp"
#endif
