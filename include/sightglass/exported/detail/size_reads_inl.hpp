#pragma once

#include "sightglass/exported/detail/size_reads.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool reads_size(const Json& node) { return node.at("target") == "torch.ops.aten.sym_size.int"; }

/// A tensor and a dimension of it.
using OpenSize = std::pair<std::string, int64_t>;

/// The expression of each open size of a tensor, and where it has it.
inline void add_open_sizes(const Json& graph, const std::string& name,
                           std::map<std::string, std::vector<OpenSize>>& open_sizes) {
  const Json* const meta = find(graph.at("tensor_values"), name.c_str());
  if (meta == nullptr) return;
  int64_t dim = 0;
  for (const Json& size : meta->at("sizes")) {
    if (const Json* const expression = find(size, "as_expr"))
      open_sizes[expression->at("expr_str").get<std::string>()].emplace_back(name, dim);
    ++dim;
  }
}

SIGHTGLASS_INLINE ValueUses::ValueUses(const Json& graph) {
  const Json& nodes = graph.at("nodes");
  for (size_t i = 0; i < nodes.size(); ++i) {
    for (const Json& input : nodes[i].at("inputs"))
      for (const std::string& name : names_in(input.at("arg"))) (reads_size(nodes[i]) ? last : needed)[name] = i;
    for (const std::string& name : names_in(nodes[i].at("outputs")))
      TORCH_CHECK(made.emplace(name, i).second, "is damaged: its program makes \"", name, "\" twice");
  }
  for (const std::string& name : names_in(graph.at("outputs"))) needed[name] = nodes.size();
  for (const auto& [name, use] : needed) last[name] = std::max(last[name], use);
}

SIGHTGLASS_INLINE void settle_size_reads(Json& graph) {
  const ValueUses uses(graph);
  std::map<std::string, std::vector<OpenSize>> open_sizes;
  for (const std::string& name : names_in(graph.at("inputs"))) add_open_sizes(graph, name, open_sizes);
  Json& nodes = graph.at("nodes");
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!reads_size(nodes[i])) {
      for (const std::string& name : names_in(nodes[i].at("outputs"))) add_open_sizes(graph, name, open_sizes);
      continue;
    }
    const auto is_needed = [&](const std::string& name) {
      const auto need = uses.needed.find(name);
      return need != uses.needed.end() && need->second > i;
    };
    Json& read = nodes[i].at("inputs").at(0).at("arg").at("as_tensor").at("name");
    if (is_needed(read.get<std::string>())) continue;
    const Json* const told = find(graph.at("sym_int_values"), names_in(nodes[i].at("outputs")).at(0).c_str());
    const Json* const expression = told == nullptr ? nullptr : find(*told, "as_expr");
    if (expression == nullptr) continue;
    const std::vector<OpenSize>& same = open_sizes[expression->at("expr_str").get<std::string>()];
    const auto found =
        std::find_if(same.rbegin(), same.rend(), [&](const OpenSize& one) { return is_needed(one.first); });
    if (found == same.rend()) continue;
    read = found->first;
    nodes[i].at("inputs").at(1).at("arg") = {{"as_int", found->second}};
  }
}

}  // namespace sightglass::detail
