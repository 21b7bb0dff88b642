#pragma once

#include "sightglass/exported/detail/call_tree.hpp"

#include <algorithm>
#include <sstream>
#include <utility>

#include "sightglass/exported/detail/module_tree.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

using Calls = std::vector<ModuleCall>;

SIGHTGLASS_INLINE Calls calls_of(const Json& node, const std::set<std::string>& modules) {
  constexpr size_t deepest = 200;
  Calls calls;
  const Json* const metadata = find(node, "metadata");
  const Json* const stack = metadata == nullptr ? nullptr : find(*metadata, "nn_module_stack");
  std::istringstream text(stack == nullptr ? "" : stack->get<std::string>());
  for (std::string entry; std::getline(text, entry, ';');) {
    const size_t first = entry.find(','), second = entry.find(',', first + 1);
    if (first == std::string::npos || second == std::string::npos || second == first + 1) continue;  // the model's own
    const std::string key = entry.substr(0, first);
    std::string path = entry.substr(first + 1, second - first - 1);
    const std::string below = (calls.empty() ? "" : calls.back().path) + "." + path;
    if (!calls.empty() && !ModuleTree::lies_in(path, calls.back().path) && modules.count(below) != 0) path = below;
    if (key == path && key.rfind("_empty_nn_module_stack", 0) == 0) continue;
    calls.push_back({key, path, entry.substr(second + 1)});
    TORCH_CHECK(calls.size() <= deepest, "is damaged: its modules lie in each other more than ", deepest, " deep");
  }
  return calls;
}

/// How many of the outermost calls both have.
inline size_t shared_calls(const Calls& one, const Calls& other) {
  size_t count = 0;
  while (count < one.size() && count < other.size() && one[count].key == other[count].key) ++count;
  return count;
}

/// Whether all that an operation gives is a size, or a number made of sizes.
inline bool gives_sizes(const Json& node) {
  const auto is_size = [](const Json& output) { return member_of(output).first.rfind("as_sym_", 0) == 0; };
  const Json& outputs = node.at("outputs");
  return !outputs.empty() && std::all_of(outputs.begin(), outputs.end(), is_size);
}

inline Calls shared_part(const Calls& one, const Calls& other) {
  return Calls(one.begin(), one.begin() + static_cast<std::ptrdiff_t>(shared_calls(one, other)));
}

/// What gives sizes lies in the calls that both what is before and what is after it lie in, or in its own where one of
/// them lies there too and it is deeper.
inline void settle_sizes(const Json& nodes, std::vector<Calls>& calls) {
  std::vector<size_t> next(nodes.size());  // of the operations behind each, the first that gives something else
  size_t following = nodes.size();
  for (size_t i = nodes.size(); i-- > 0;) {
    next[i] = following;
    if (!gives_sizes(nodes[i])) following = i;
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!gives_sizes(nodes[i])) continue;
    const Calls before = i == 0 ? Calls() : calls[i - 1];
    const Calls after = next[i] == nodes.size() ? Calls() : calls[next[i]];
    Calls best = shared_part(before, after);
    for (const Calls& own : {shared_part(calls[i], before), shared_part(calls[i], after)}) {
      if (own.size() > best.size()) best = own;
    }
    calls[i] = best;
  }
}

/// Whether operations are the same ones over and over, in the same modules. `depth` calls are around them all.
inline bool are_repeated(const Json& nodes, const std::vector<Calls>& calls, size_t begin, size_t end, size_t depth) {
  std::vector<std::string> told;
  for (size_t i = begin; i < end; ++i) {
    if (gives_sizes(nodes[i])) continue;
    told.push_back(nodes[i].at("target").get<std::string>());
    for (size_t inner = depth; inner < calls[i].size(); ++inner) told.back() += " " + calls[i][inner].path;
  }
  for (size_t part = 1; part <= told.size() / 2; ++part) {
    if (told.size() % part != 0) continue;
    if (std::equal(told.begin() + static_cast<std::ptrdiff_t>(part), told.end(), told.begin())) return true;
  }
  return false;
}

/// The operations from `begin` on that lie in one call at this depth.
inline size_t end_of_call(const std::vector<Calls>& calls, size_t begin, size_t end, size_t depth) {
  size_t i = begin;
  while (i < end && calls[i].size() > depth && calls[i][depth].key == calls[begin][depth].key) ++i;
  return i;
}

/// The modules with calls that may be several in one.
inline void find_merged(const Json& nodes, const std::vector<Calls>& calls, size_t begin, size_t end, size_t depth,
                        std::set<std::string>& merged) {
  while (begin < end) {
    if (calls[begin].size() <= depth) {
      ++begin;
      continue;
    }
    const size_t behind = end_of_call(calls, begin, end, depth);
    if (are_repeated(nodes, calls, begin, behind, depth + 1)) merged.insert(calls[begin][depth].path);
    find_merged(nodes, calls, begin, behind, depth + 1, merged);
    begin = behind;
  }
}

/// Takes out all calls of modules of which some cannot be told apart, again until each can.
inline void drop_merged(const Json& nodes, std::vector<Calls>& calls) {
  for (bool again = true; again;) {
    std::set<std::string> merged;
    find_merged(nodes, calls, 0, calls.size(), 0, merged);
    again = !merged.empty();
    for (Calls& of_one : calls) {
      const auto is_merged = [&](const ModuleCall& call) { return merged.count(call.path) != 0; };
      of_one.erase(std::remove_if(of_one.begin(), of_one.end(), is_merged), of_one.end());
    }
  }
}

inline void add_calls(CallTree& tree, const std::vector<Calls>& calls, size_t depth) {
  for (size_t i = tree.begin; i < tree.end;) {
    if (calls[i].size() <= depth) {
      tree.items.emplace_back(i++);
      continue;
    }
    auto inner = std::make_unique<CallTree>();
    inner->call = calls[i][depth];
    inner->begin = i;
    i = inner->end = end_of_call(calls, i, tree.end, depth);
    add_calls(*inner, calls, depth + 1);
    tree.items.emplace_back(std::move(inner));
  }
}

SIGHTGLASS_INLINE CallTree call_tree(const Json& nodes, const std::set<std::string>& modules, bool are_numbered) {
  std::vector<Calls> calls;
  for (const Json& node : nodes) calls.push_back(calls_of(node, modules));
  settle_sizes(nodes, calls);
  if (!are_numbered) drop_merged(nodes, calls);
  CallTree tree;
  tree.end = nodes.size();
  add_calls(tree, calls, 0);
  return tree;
}

}  // namespace sightglass::detail
