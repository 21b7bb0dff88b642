#pragma once

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>

#include <optional>
#include <set>
#include <string>
#include <utility>

/// How a TorchScript file was exported, read from its graphs: what makes it impossible to explain, or to trust.
namespace sightglass::detail {

namespace jit = torch::jit;

/// Looks at every operation that `forward` may reach.
class ExportReader {
 public:
  explicit ExportReader(const jit::Module& module);

  /// An operation that behaves as in training whatever the model's mode: `eval()` does not reach what a trace has
  /// fixed. Empty where there is none.
  const std::string& trains() const { return trains_; }
  /// An operation on quantised numbers. Empty where there is none.
  const std::string& quantised() const { return quantised_; }

 private:
  void read(torch::jit::Function& function);

  void read(const jit::Block& block);

  void note(const jit::Block& block);
  void note(const jit::Node& node);

  static const jit::Value* argument(const jit::Node& node, const char* name);
  static std::optional<size_t> schema_index(const c10::FunctionSchema& schema, const char* name);
  static bool is_true(const jit::Node& node, const char* name);
  static double chance_of(const jit::Node& node);
  /// Batch norms that keep no running statistics use the batch's own in evaluation too, as they should.
  static bool has_statistics(const jit::Node& node);

  std::set<const torch::jit::Function*> seen_;
  std::string trains_;
  std::string quantised_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/script_export_inl.hpp"
#endif
