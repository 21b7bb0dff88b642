#pragma once

#include <torch/csrc/jit/ir/ir.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

namespace jit = torch::jit;

/// A size as the export tells it: `factor * symbol + rest`, or a number where there is no symbol.
struct LinearSize {
  int64_t factor = 0;
  std::string symbol;
  int64_t rest = 0;
};

/// From SymPy's text, such as `Symbol('s77', positive=True, integer=True)` or `Mul(Integer(2), Symbol('s0'))`; none for
/// what is not of this form.
std::optional<LinearSize> linear_size(const std::string& expression);

/// Checks of a program's inputs in front of it: what the export has fixed, and the ranges of what it has left open.
class SizeChecks {
 public:
  /// @param ranges the program's `range_constraints`
  explicit SizeChecks(const Json& ranges) : ranges_(ranges) {}

  /// Puts the checks of an input at the graph's insertion point.
  void insert(jit::Graph& graph, jit::Value* input, const std::string& name, const Json& meta);

 private:
  void insert(jit::Graph& graph, jit::Value* size, const std::string& what, const LinearSize& expected);
  void insert_range(jit::Graph& graph, jit::Value* value, jit::Value* size, const std::string& what,
                    const LinearSize& expected);

  const Json& ranges_;
  std::map<std::string, jit::Value*> symbols_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/size_checks_inl.hpp"
#endif
