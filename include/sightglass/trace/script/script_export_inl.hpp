#pragma once

#include "sightglass/trace/script/script_export.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/trace/script/script_marks.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE ExportReader::ExportReader(const jit::Module& module) {
  if (module.find_method("forward")) read(module.get_method("forward").function());
}

SIGHTGLASS_INLINE void ExportReader::read(torch::jit::Function& function) {
  if (!seen_.insert(&function).second) return;
  if (auto* const with_graph = jit::tryToGraphFunction(function)) read(*with_graph->graph()->block());
}

SIGHTGLASS_INLINE void ExportReader::read(const jit::Block& block) {
  for (torch::jit::Function* const called : called_by(block)) read(*called);
  note(block);
}

SIGHTGLASS_INLINE void ExportReader::note(const jit::Block& block) {
  for (const jit::Node* node : block.nodes()) {
    for (const jit::Block* inner : node->blocks()) note(*inner);
    note(*node);
  }
}

SIGHTGLASS_INLINE void ExportReader::note(const jit::Node& node) {
  const std::string name = node.kind().toQualString();
  if (quantised_.empty() && name.rfind("quantized::", 0) == 0) quantised_ = name;
  if (!trains_.empty()) return;
  const bool drops = name.find("dropout") != std::string::npos && name.rfind("aten::", 0) == 0;
  const bool norms = name == "aten::batch_norm" && has_statistics(node);
  if (drops ? is_true(node, "train") && chance_of(node) > 0 : norms && is_true(node, "training")) trains_ = name;
}

SIGHTGLASS_INLINE const jit::Value* ExportReader::argument(const jit::Node& node, const char* name) {
  const auto* const schema = node.maybeSchema();
  const auto index = schema == nullptr ? std::nullopt : schema_index(*schema, name);
  return index && *index < node.inputs().size() ? node.input(*index) : nullptr;
}

SIGHTGLASS_INLINE std::optional<size_t> ExportReader::schema_index(const c10::FunctionSchema& schema,
                                                                   const char* name) {
  const auto index = schema.argumentIndexWithName(name);
  return index ? std::optional<size_t>(static_cast<size_t>(*index)) : std::nullopt;
}

SIGHTGLASS_INLINE bool ExportReader::is_true(const jit::Node& node, const char* name) {
  const jit::Value* const value = argument(node, name);
  const auto constant = value == nullptr ? c10::optional<c10::IValue>() : jit::toIValue(value);
  return constant && constant->isBool() && constant->toBool();
}

SIGHTGLASS_INLINE double ExportReader::chance_of(const jit::Node& node) {
  const jit::Value* const value = argument(node, "p");
  const auto constant = value == nullptr ? c10::optional<c10::IValue>() : jit::toIValue(value);
  return constant && constant->isDouble() ? constant->toDouble() : 0;
}

SIGHTGLASS_INLINE bool ExportReader::has_statistics(const jit::Node& node) {
  const jit::Value* const mean = argument(node, "running_mean");
  return mean != nullptr && !mean->mustBeNone();
}

}  // namespace sightglass::detail
