#pragma once

#include <ATen/core/function_schema.h>
#include <torch/csrc/jit/ir/ir.h>

#include <optional>
#include <string>
#include <vector>

/// What the operations of an exported program are called in LibTorch.
namespace sightglass::detail {

namespace jit = torch::jit;

/// An operation's name in a file: `torch.ops.aten.conv2d.default` is `aten::conv2d` and "".
struct OperatorName {
  std::string name;
  std::string overload;
};

/// None for what is no operator of a library: Python's arithmetic (`_operator.mul`), `torch.sym_max`.
std::optional<OperatorName> operator_name(const std::string& target);

/// How this LibTorch takes it; null where it has none.
const c10::FunctionSchema* find_schema(const OperatorName& name);

/// The overload that takes a number where `schema` takes a tensor in this place; null where there is none.
const c10::FunctionSchema* with_number(const c10::FunctionSchema& schema, size_t argument);

/// The name of TorchScript's operation that does what Python's arithmetic on sizes does; null where there is none.
const char* arithmetic(const std::string& target);

/// Operations that only state what was true at the export.
bool only_states(const OperatorName& name);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/operators_inl.hpp"
#endif
