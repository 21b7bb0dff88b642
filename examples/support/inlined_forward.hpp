#pragma once

#include <torch/csrc/jit/passes/inliner.h>
#include <torch/script.h>

#include <memory>

namespace support {

namespace detail {

inline bool has_calls(const torch::jit::Block* block) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (node->kind() == torch::jit::prim::CallMethod) return true;
    for (const torch::jit::Block* inner : node->blocks())
      if (has_calls(inner)) return true;
  }
  return false;
}

}  // namespace detail

/// The graph of `forward` with those of all methods that it calls. Inlining once is not enough where methods keep their
/// own calls, as those of exported programs do.
inline std::shared_ptr<torch::jit::Graph> inlined_forward(const torch::jit::Module& model) {
  constexpr int deepest = 100;
  std::shared_ptr<torch::jit::Graph> graph = model.get_method("forward").graph()->copy();
  for (int depth = 0; depth < deepest && detail::has_calls(graph->block()); ++depth) torch::jit::Inline(*graph);
  return graph;
}

}  // namespace support
