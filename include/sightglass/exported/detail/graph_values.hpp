#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/exported/detail/json.hpp"
#include "sightglass/exported/detail/program_parts.hpp"

namespace sightglass::detail {

namespace jit = torch::jit;

/// Throws in the running program where `holds` is false. `text` may have a `{}`, where `shown` comes.
void insert_check(jit::Graph& graph, jit::Value* holds, const std::string& text, jit::Value* shown = nullptr);

/// The values in one graph of TorchScript by their names in the program, and new ones at its insertion point.
class GraphValues {
 public:
  /// @param self the module called `path`, of which the graph is a method
  GraphValues(ProgramParts& parts, jit::Graph& graph, jit::Value* self, std::string path)
      : parts_(parts), graph_(graph), self_(self), path_(std::move(path)) {}

  ProgramParts& parts() const { return parts_; }
  jit::Graph& graph() const { return graph_; }
  jit::Value* self() const { return self_; }
  const std::string& path() const { return path_; }

  /// Makes a value known.
  void put(const std::string& name, jit::Value* value) { values_[name] = value; }
  bool has(const std::string& name) const { return values_.count(name) != 0; }

  /// The value of this name: one that was made, or one of the program's tensors, in reach of `self`.
  jit::Value* value(const std::string& name);

  /// The value of an argument that stands where an operation takes `type`.
  jit::Value* argument(const Json& given, const c10::TypePtr& type);

  /// Makes what an operation gives known by its names.
  void bind(const Json& outputs, at::ArrayRef<jit::Value*> values);

  jit::Value* constant(const c10::IValue& value) { return graph_.insertConstant(value); }
  /// An operation of TorchScript, its overload chosen by the values' types.
  jit::Value* insert(const char* name, const std::vector<jit::Value*>& inputs);

  /// An attribute of the module called `path`, which lies in `self`; no name: that module.
  jit::Value* attribute(const std::string& path, const std::string& name);

 private:
  jit::Value* list(const Json& items, const c10::TypePtr& element);
  jit::Value* device();
  void bind_one(const Json& output, jit::Value* value);

  ProgramParts& parts_;
  jit::Graph& graph_;
  jit::Value* self_;
  std::string path_;
  std::map<std::string, jit::Value*> values_, reached_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/graph_values_inl.hpp"
#endif
