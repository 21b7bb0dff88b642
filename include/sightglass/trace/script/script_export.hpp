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
  explicit ExportReader(const jit::Module& module) {
    if (module.find_method("forward")) read(module.get_method("forward").function());
  }

  /// An operation that behaves as in training whatever the model's mode: `eval()` does not reach what a trace has
  /// fixed. Empty where there is none.
  const std::string& trains() const { return trains_; }
  /// An operation on quantised numbers. Empty where there is none.
  const std::string& quantised() const { return quantised_; }

 private:
  void read(torch::jit::Function& function) {
    if (!seen_.insert(&function).second) return;
    if (auto* const with_graph = jit::tryToGraphFunction(function)) read(*with_graph->graph()->block());
  }

  void read(const jit::Block& block) {
    for (const jit::Node* node : block.nodes()) {
      for (const jit::Block* inner : node->blocks()) read(*inner);
      if (node->kind() == c10::prim::CallMethod) {
        const auto type = node->input(0)->type()->cast<c10::ClassType>();
        if (type != nullptr && type->findMethod(node->s(c10::attr::name)) != nullptr)
          read(type->getMethod(node->s(c10::attr::name)));
      } else if (node->kind() == c10::prim::CallFunction) {
        if (const auto called = node->input(0)->type()->cast<c10::FunctionType>()) read(*called->function());
      } else {
        note(*node);
      }
    }
  }

  void note(const jit::Node& node) {
    const std::string name = node.kind().toQualString();
    if (quantised_.empty() && name.rfind("quantized::", 0) == 0) quantised_ = name;
    if (!trains_.empty()) return;
    const bool drops = name.find("dropout") != std::string::npos && name.rfind("aten::", 0) == 0;
    const bool norms = name == "aten::batch_norm" && has_statistics(node);
    if (drops ? is_true(node, "train") && chance_of(node) > 0 : norms && is_true(node, "training")) trains_ = name;
  }

  static const jit::Value* argument(const jit::Node& node, const char* name) {
    const auto* const schema = node.maybeSchema();
    const auto index = schema == nullptr ? std::nullopt : schema_index(*schema, name);
    return index && *index < node.inputs().size() ? node.input(*index) : nullptr;
  }
  static std::optional<size_t> schema_index(const c10::FunctionSchema& schema, const char* name) {
    const auto index = schema.argumentIndexWithName(name);
    return index ? std::optional<size_t>(static_cast<size_t>(*index)) : std::nullopt;
  }
  static bool is_true(const jit::Node& node, const char* name) {
    const jit::Value* const value = argument(node, name);
    const auto constant = value == nullptr ? c10::optional<c10::IValue>() : jit::toIValue(value);
    return constant && constant->isBool() && constant->toBool();
  }
  static double chance_of(const jit::Node& node) {
    const jit::Value* const value = argument(node, "p");
    const auto constant = value == nullptr ? c10::optional<c10::IValue>() : jit::toIValue(value);
    return constant && constant->isDouble() ? constant->toDouble() : 0;
  }
  /// Batch norms that keep no running statistics use the batch's own in evaluation too, as they should.
  static bool has_statistics(const jit::Node& node) {
    const jit::Value* const mean = argument(node, "running_mean");
    return mean != nullptr && !mean->mustBeNone();
  }

  std::set<const torch::jit::Function*> seen_;
  std::string trains_;
  std::string quantised_;
};

}  // namespace sightglass::detail
