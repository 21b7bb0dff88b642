#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sightglass/exported/detail/call_tree.hpp"
#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/exported/detail/json.hpp"
#include "sightglass/exported/detail/size_reads.hpp"

/// From the flat graph of an exported program to TorchScript's graphs, one for each call of a module.
namespace sightglass::detail {

/// Puts the operations of one of the program's graphs at the insertion point of a graph of TorchScript.
class GraphMaker {
 public:
  /// @param source the program's graph; must outlive the maker
  /// @param values those of the graph to add to; the inputs of `source` are known there
  GraphMaker(const Json& source, GraphValues& values)
      : source_(source), uses_(std::make_shared<ValueUses>(source)), values_(values) {}

  /// All operations, each call of a module as one.
  void make();

 private:
  GraphMaker(const GraphMaker& outer, GraphValues& values)
      : source_(outer.source_), uses_(outer.uses_), values_(values) {}

  void make(const CallTree& calls);
  void make_call(const CallTree& call);
  void make_operation(const Json& node);

  std::vector<std::string> inputs_of(const CallTree& call) const;
  /// What a call gives, its first output first: as the file tells it, else what is made last and then the others as
  /// they are made, and at the end what leaves it for other ends.
  std::vector<std::string> outputs_of(const CallTree& call) const;
  void sort_outputs(const CallTree& call, std::vector<std::string>& outputs) const;
  /// Takes out of a call's outputs those that are what it was given, by an operation that changes nothing.
  /// @return their names, and what they are
  std::map<std::string, std::string> take_returned(const CallTree& call, std::vector<std::string>& outputs) const;
  /// The value from outside of a call that this one is; empty: it is another.
  std::string returned(const CallTree& call, const std::string& name) const;

  const Json& source_;
  std::shared_ptr<const ValueUses> uses_;
  GraphValues& values_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/graph_maker_inl.hpp"
#endif
