#pragma once

#include <torch/script.h>

#include <exception>
#include <set>
#include <string>

#include "inlined_forward.hpp"

namespace support {

/// What a TorchScript model's last operation makes of its output.
enum class ModelEnd {
  sigmoid,
  linear,  ///< a linear layer or a convolution: numbers of any size
  unknown
};

namespace detail {

inline ModelEnd end_at(const torch::jit::Node* node) {
  static const std::set<std::string> passing{"aten::squeeze", "aten::unsqueeze", "aten::view",
                                             "aten::reshape", "aten::flatten",   "aten::contiguous",
                                             "aten::to",      "aten::clone",     "aten::detach",
                                             "aten::dropout", "aten::float",     "aten::permute",
                                             "aten::select",  "aten::slice",     "aten::alias",
                                             "aten::type_as", "aten::mean",      "aten::adaptive_avg_pool2d"};
  static const std::set<std::string> linear{"aten::linear", "aten::addmm",   "aten::mm",           "aten::matmul",
                                            "aten::bmm",    "aten::baddbmm", "aten::_convolution", "aten::conv2d"};
  static const std::set<std::string> sums{"aten::add", "aten::add_", "aten::sub"};
  while (passing.count(node->kind().toQualString()) > 0) node = node->inputs()[0]->node();
  const std::string kind = node->kind().toQualString();
  if (kind == "aten::sigmoid" || kind == "aten::sigmoid_") return ModelEnd::sigmoid;
  const bool scaled =
      (kind == "aten::mul" || kind == "aten::div") && node->inputs()[1]->node()->kind() == torch::jit::prim::Constant;
  const bool sum = (scaled || sums.count(kind) > 0) && end_at(node->inputs()[0]->node()) == ModelEnd::linear;
  return sum || linear.count(kind) > 0 ? ModelEnd::linear : ModelEnd::unknown;
}

/// What a list, tuple or dictionary that a graph makes holds at a step of a path, a number or a key; the first for an
/// empty one. Null where that cannot be told.
inline const torch::jit::Value* element_at(const torch::jit::Node* node, const std::string& step) {
  const bool by_key = node->kind() == torch::jit::prim::DictConstruct;
  const size_t stride = by_key ? 2 : 1;
  for (size_t i = 0; i + stride <= node->inputs().size(); i += stride) {
    if (step.empty() || (!by_key && step == std::to_string(i))) return node->inputs()[i + stride - 1];
    const auto key = torch::jit::toIValue(node->inputs()[i]);
    if (by_key && key && key->isString() && key->toStringRef() == step) return node->inputs()[i + 1];
  }
  return nullptr;
}

inline ModelEnd end_at_return(const torch::jit::Module& model, std::string path) {
  const auto graph = inlined_forward(model);
  const torch::jit::Value* value = graph->outputs().size() == 1 ? graph->outputs()[0] : nullptr;
  const std::set<c10::Symbol> gathering{torch::jit::prim::TupleConstruct, torch::jit::prim::ListConstruct,
                                        torch::jit::prim::DictConstruct};
  while (value != nullptr && gathering.count(value->node()->kind()) > 0) {
    value = element_at(value->node(), path.substr(0, path.find('.')));
    path.erase(0, path.find('.') == std::string::npos ? path.size() : path.find('.') + 1);
  }
  return value != nullptr ? end_at(value->node()) : ModelEnd::unknown;
}

}  // namespace detail

/// Read from the graph of `forward`, through operations that keep numbers or average them; where it depends on the
/// model's attributes, from that of a frozen copy, in which they are known. `path`: of the output, `out`, `1`,
/// `boxes.0`; the first by default.
inline ModelEnd end_of(const torch::jit::Module& model, const std::string& path = "") {
  const ModelEnd end = detail::end_at_return(model, path);
  if (end != ModelEnd::unknown) return end;
  try {
    return detail::end_at_return(torch::jit::freeze(model, {}, /*optimize_numerics=*/false), path);
  } catch (const std::exception&) {  // what cannot be frozen is not known
    return end;
  }
}

}  // namespace support
