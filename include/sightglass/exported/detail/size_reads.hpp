#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// Whether an operation only asks a tensor for its size.
bool reads_size(const Json& node);

/// Where a graph's values are made and last used, by the number of the operation.
struct ValueUses {
  explicit ValueUses(const Json& graph);

  std::map<std::string, size_t> made, last;
  std::map<std::string, size_t> needed;  ///< the last use that is more than a question for its size
};

/// Has sizes read from tensors that are needed afterwards. The export reads a size from whatever tensor had it first,
/// be it amid a layer; such a tensor would have to leave the layer beside what the layer gives.
void settle_size_reads(Json& graph);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/size_reads_inl.hpp"
#endif
