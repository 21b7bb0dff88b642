#pragma once

#include <ATen/core/jit_type.h>
#include <torch/csrc/jit/ir/ir.h>

#include <cstddef>
#include <string>
#include <vector>

#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

namespace jit = torch::jit;

/// How the tensors of a program's inputs, or of its outputs, lie in tuples, lists and dictionaries: Python's pytree.
/// Each leaf is one value of the flat program, in order.
class CallSpec {
 public:
  /// @param text as the file has it; throws for a form that is not read
  explicit CallSpec(const std::string& text);

  size_t leaves() const { return leaves_; }

  /// The parts of the outermost tuple, list or dictionary.
  const std::vector<CallSpec>& parts() const { return parts_; }
  /// The names of the parts of a dictionary.
  const std::vector<c10::IValue>& keys() const { return keys_; }

  /// The type of it all, for leaves of these types. Dictionaries and lists of several types are of any.
  c10::TypePtr type(const std::vector<c10::TypePtr>& leaves) const;

  /// The leaves in a value of that type.
  void unpack(jit::Graph& graph, jit::Value* value, std::vector<jit::Value*>& leaves,
              const std::vector<c10::TypePtr>& types) const;

  /// One value of all the leaves.
  jit::Value* pack(jit::Graph& graph, const std::vector<jit::Value*>& leaves) const;

 private:
  enum class Kind { leaf, tuple, list, dictionary };

  CallSpec(const Json& node, int depth);

  std::vector<c10::TypePtr> part_types(const std::vector<c10::TypePtr>& leaves) const;
  c10::TypePtr key_type() const;
  static c10::TypePtr shared(const std::vector<c10::TypePtr>& types);

  Kind kind_ = Kind::leaf;
  size_t leaves_ = 1;
  std::vector<CallSpec> parts_;
  std::vector<c10::IValue> keys_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/call_spec_inl.hpp"
#endif
