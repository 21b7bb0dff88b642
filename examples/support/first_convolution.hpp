#pragma once

#include <torch/script.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "inlined_forward.hpp"

namespace support {

/// What a model's first convolution says of the model's input. 0: not known.
struct FirstConvolution {
  int64_t dimensions = 0;  ///< spatial ones: 1 for series, 2 for pictures, 3 for volumes
  int64_t channels = 0;
};

namespace detail {

/// A constant, or what an attribute of the model, or of a module in it, holds.
inline std::optional<c10::IValue> held_by(const torch::jit::Module& model, const torch::jit::Value* value) {
  const torch::jit::Node* node = value->node();
  if (const auto constant = torch::jit::toIValue(value)) return *constant;  // c10's optional on LibTorch 1.13.1
  if (value == node->owningGraph()->inputs()[0]) return c10::IValue(model._ivalue());
  if (node->kind() != torch::jit::prim::GetAttr) return std::nullopt;
  const auto object = held_by(model, node->inputs()[0]);
  if (!object || !object->isObject()) return std::nullopt;
  return object->toObjectRef().getAttr(node->s(torch::jit::attr::name));
}

/// Whether a value is an input of the model, but for operations that keep its dimensions and channels.
inline bool is_input(const torch::jit::Value* value) {
  static const std::set<std::string> keeping{"aten::contiguous", "aten::to",     "aten::clone", "aten::detach",
                                             "aten::float",      "aten::half",   "aten::sub",   "aten::add",
                                             "aten::mul",        "aten::div",    "aten::pad",   "aten::constant_pad_nd",
                                             "aten::alias",      "aten::type_as"};
  while (keeping.count(value->node()->kind().toQualString()) > 0) value = value->node()->inputs()[0];
  return value->node()->kind() == torch::jit::prim::Param &&
         value->node()->owningBlock() == value->node()->owningGraph()->block();
}

/// The first convolution in the order of the graph.
inline const torch::jit::Node* first_convolution_in(const torch::jit::Block* block) {
  static const std::set<std::string> convolutions{"aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::_convolution",
                                                  "aten::convolution"};
  for (const torch::jit::Node* node : block->nodes()) {
    if (convolutions.count(node->kind().toQualString()) > 0) return node;
    for (const torch::jit::Block* inner : node->blocks())
      if (const torch::jit::Node* found = first_convolution_in(inner)) return found;
  }
  return nullptr;
}

}  // namespace detail

/// Read from the graph of `forward`. Nothing is known where there is no convolution, or where it is not the input that
/// it sees (a stem that folds places into channels, frames folded into the batch).
inline FirstConvolution first_convolution(const torch::jit::Module& model) {
  const auto graph = inlined_forward(model);
  const torch::jit::Node* const node = detail::first_convolution_in(graph->block());
  if (node == nullptr || !detail::is_input(node->inputs()[0])) return {};
  const auto weight = detail::held_by(model, node->inputs()[1]);
  if (!weight || !weight->isTensor() || weight->toTensor().dim() < 3) return {};
  const auto groups = node->get<int64_t>(c10::Symbol::attr("groups"));
  return {weight->toTensor().dim() - 2, weight->toTensor().size(1) * groups.value_or(1)};
}

}  // namespace support
