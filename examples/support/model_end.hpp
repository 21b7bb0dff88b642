#pragma once

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/script.h>

#include <exception>
#include <set>
#include <string>

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

inline ModelEnd end_at_return(const torch::jit::Module& model) {
  const auto graph = model.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  return graph->outputs().size() == 1 ? end_at(graph->outputs()[0]->node()) : ModelEnd::unknown;
}

}  // namespace detail

/// Read from the graph of `forward`, through operations that keep numbers or average them; where it depends on the
/// model's attributes, from that of a frozen copy, in which they are known.
inline ModelEnd end_of(const torch::jit::Module& model) {
  const ModelEnd end = detail::end_at_return(model);
  if (end != ModelEnd::unknown) return end;
  try {
    return detail::end_at_return(torch::jit::freeze(model, {}, /*optimize_numerics=*/false));
  } catch (const std::exception&) {  // what cannot be frozen is not known
    return end;
  }
}

}  // namespace support
