#pragma once

#include "sightglass/trace/script/split.hpp"

#include <ATen/core/LegacyTypeDispatch.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/csrc/jit/passes/constant_propagation.h>
#include <torch/csrc/jit/passes/dead_code_elimination.h>
#include <torch/csrc/jit/passes/frozen_graph_optimizations.h>
#include <torch/csrc/jit/passes/frozen_ops_to_mkldnn.h>
#include <torch/csrc/jit/passes/inliner.h>
#include <torch/csrc/jit/passes/peephole.h>
#include <torch/csrc/jit/passes/remove_mutation.h>
#include <torch/csrc/jit/passes/shape_analysis.h>
#include <algorithm>
#include <cstdint>
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void FrozenValues::add(c10::intrusive_ptr<c10::ivalue::Object> object, size_t slot) {
  const c10::IValue value = object->getSlot(slot);
  values_.push_back({std::move(object), slot, value, stamp_of(value)});
}

SIGHTGLASS_INLINE bool FrozenValues::changed() const {
  for (const Value& each : values_) {
    const c10::IValue& now = each.object->getSlot(each.slot);
    if (!now.is(each.value) || !(stamp_of(now) == each.stamp)) return true;
  }
  return false;
}

SIGHTGLASS_INLINE FrozenValues::Stamp FrozenValues::stamp_of(const c10::IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined()) return {};
  const at::Tensor& tensor = value.toTensor();
  return {version_of(tensor), storage_of(tensor)};
}

SIGHTGLASS_INLINE Freezer::Freezer(jit::Graph& graph, c10::intrusive_ptr<c10::ivalue::Object> self,
                                   FrozenValues& values)
    : values_(values) {
  objects_.emplace(graph.inputs().at(0), std::move(self));
  freeze(*graph.block());
}

SIGHTGLASS_INLINE void Freezer::freeze(jit::Block& block) {
  for (auto next = block.nodes().begin(); next != block.nodes().end();) {
    jit::Node* const node = *next;
    ++next;
    for (jit::Block* inner : node->blocks()) freeze(*inner);
    if (node->kind() == c10::prim::GetAttr) replace(*node);
  }
}

SIGHTGLASS_INLINE void Freezer::replace(jit::Node& node) {
  const auto owner = objects_.find(node.input());
  if (owner == objects_.end()) return;
  const auto& object = owner->second;
  const size_t slot = object->type()->getAttributeSlot(node.s(c10::attr::name));
  c10::IValue value = object->getSlot(slot);
  if (value.isObject()) {
    objects_.emplace(node.output(), value.toObject());
    return;
  }
  values_.add(object, slot);
  if (value.isTensor() && value.toTensor().defined()) value = value.toTensor().detach();
  const jit::WithInsertPoint here(&node);
  node.output()->replaceAllUsesWith(node.owningGraph()->insertConstant(value));
  node.destroy();
}

SIGHTGLASS_INLINE Split::Split(const jit::Graph& marked, const c10::intrusive_ptr<c10::ivalue::Object>& self,
                               const std::set<const void*>& places, size_t dims, std::optional<std::string> output)
    : output_(std::move(output)) {
  const Unwatched unseen;
  std::shared_ptr<jit::Graph> graph = const_cast<jit::Graph&>(marked).copy();
  TORCH_CHECK(graph->inputs().size() == 2 && graph->outputs().size() == 1, "it has several inputs or outputs");
  inline_all(graph);
  const Freezer frozen(*graph, self, values_);
  jit::ConstantPropagation(graph);
  jit::EliminateDeadCode(graph);
  TORCH_CHECK(!graph->inputs().at(0)->hasUses(), "it assigns to an attribute, or hands a submodule on");
  graph->eraseInput(0);
  set_dims(*graph->inputs().at(0), dims);
  drop_marks(*graph->block(), places);
  if (places.empty()) {
    settle_dims(graph);
    optimise(graph);
    prefix_ = code(graph);
    return;
  }
  place_ = find(*graph, places).second;
  prefix_ = code(prefix_of(*graph, places));
  tail_ = code(tail_of(*graph, places));
}

SIGHTGLASS_INLINE at::Tensor Split::prefix(const at::Tensor& input) const { return run_prefix(input).toTensor(); }

SIGHTGLASS_INLINE at::Tensor Split::tail(const at::Tensor& activations, const at::Tensor& input) const {
  return pick_tensor(run(*tail_, {input, activations}), output_);
}

SIGHTGLASS_INLINE at::Tensor Split::whole(const at::Tensor& input) const {
  return tail_ == nullptr ? pick_tensor(run_prefix(input), output_) : tail(prefix(input), input);
}

SIGHTGLASS_INLINE c10::IValue Split::run_prefix(const at::Tensor& input) const {
  const Unwatched unseen;
  const at::AutoDispatchBelowAutograd without_graph;
  return run(*prefix_, {input});
}

SIGHTGLASS_INLINE std::shared_ptr<const jit::Code> Split::code(const GraphPointer& graph) {
  return std::make_shared<const jit::Code>(graph, "sightglass");
}

SIGHTGLASS_INLINE c10::IValue Split::run(const jit::Code& code, std::vector<c10::IValue> stack) {
  jit::InterpreterState(code).run(stack);
  return stack.back();
}

SIGHTGLASS_INLINE void Split::inline_all(const GraphPointer& graph) {
  for (int depth = 0; depth < Limits::inlined_calls && has_calls(*graph->block()); ++depth) jit::Inline(*graph);
}

SIGHTGLASS_INLINE bool Split::has_calls(const jit::Block& block) {
  return std::any_of(block.nodes().begin(), block.nodes().end(), [](const jit::Node* node) {
    return node->kind() == c10::prim::CallMethod || node->kind() == c10::prim::CallFunction ||
           std::any_of(node->blocks().begin(), node->blocks().end(),
                       [](const jit::Block* inner) { return has_calls(*inner); });
  });
}

SIGHTGLASS_INLINE bool Split::is_mark(const jit::Node& node) { return node.kind() == mark_symbol(); }

SIGHTGLASS_INLINE const void* Split::place_of(const jit::Node& mark) {
  return reinterpret_cast<const void*>(jit::toIValue(mark.input(1))->toInt());
}

SIGHTGLASS_INLINE bool Split::ends(const jit::Node& mark) {
  return jit::toIValue(mark.input(2))->toInt() == static_cast<int>(Side::end);
}

SIGHTGLASS_INLINE void Split::remove_mark(jit::Node& mark) {
  mark.output()->replaceAllUsesWith(mark.input(0));
  mark.destroy();
}

SIGHTGLASS_INLINE void Split::drop_marks(jit::Block& block, const std::set<const void*>& places) {
  for (auto next = block.nodes().begin(); next != block.nodes().end();) {
    jit::Node& node = **next;
    ++next;
    for (jit::Block* inner : node.blocks()) drop_marks(*inner, places);
    if (!is_mark(node)) continue;
    if (!ends(node) || places.count(place_of(node)) == 0) {
      remove_mark(node);
    } else {
      TORCH_CHECK(&block == block.owningGraph()->block(), "the layer runs inside of a branch or a loop");
    }
  }
}

SIGHTGLASS_INLINE std::pair<jit::Node*, const void*> Split::find(jit::Graph& graph,
                                                                 const std::set<const void*>& places) {
  std::map<const void*, jit::Node*> last;
  for (jit::Node* node : graph.nodes()) {
    if (is_mark(*node)) last[place_of(*node)] = node;
  }
  TORCH_CHECK(last.size() == places.size(), "a layer does not run");
  std::pair<jit::Node*, const void*> first{nullptr, nullptr};
  for (const auto& [place, node] : last) {
    if (first.first == nullptr || node->isBefore(first.first)) first = {node, place};
  }
  TORCH_CHECK(first.first->output()->type()->kind() == c10::TypeKind::TensorType, "the layer gives no single tensor");
  return first;
}

SIGHTGLASS_INLINE void Split::set_dims(jit::Value& value, std::optional<size_t> dims) {
  value.setType(dims ? c10::TensorType::get()->withDim(*dims) : c10::TensorType::get());
}

SIGHTGLASS_INLINE std::optional<size_t> Split::dims_of(const jit::Value& value) {
  const auto dims = value.type()->expectRef<c10::TensorType>().dim();
  return dims ? std::optional<size_t>(*dims) : std::nullopt;  // LibTorch 1.13.1 has an optional of its own
}

SIGHTGLASS_INLINE void Split::settle_dims(GraphPointer graph) {
  jit::RemoveTensorMutation(graph);
  jit::PropagateInputShapes(graph);
  jit::PeepholeOptimize(graph);
  jit::ConstantPropagation(graph);
  jit::EliminateDeadCode(graph);
}

SIGHTGLASS_INLINE void Split::optimise(GraphPointer graph) {
  jit::OptimizeFrozenGraph(graph);
  jit::ConvertFrozenOpsToMKLDNN(graph);
}

SIGHTGLASS_INLINE Split::GraphPointer Split::prefix_of(jit::Graph& whole, const std::set<const void*>& places) {
  GraphPointer graph = whole.copy();
  jit::Node* const cut = find(*graph, places).first;
  jit::Value* const activations = cut->input(0);
  graph->eraseOutput(0);
  graph->registerOutput(activations);
  for (jit::Node* node = graph->return_node()->prev(); node != cut;) {
    jit::Node* const before = node->prev();
    node->destroy();
    node = before;
  }
  cut->destroy();
  drop_marks(*graph->block(), {});
  settle_dims(graph);
  activations_dims_ = dims_of(*graph->outputs().at(0));
  optimise(graph);
  return graph;
}

SIGHTGLASS_INLINE bool Split::is_constant(const jit::Node& node) {
  if (node.kind() == c10::prim::Constant) return true;
  const bool collects = node.kind() == c10::prim::ListConstruct || node.kind() == c10::prim::TupleConstruct;
  return collects && std::all_of(node.inputs().begin(), node.inputs().end(),
                                 [](const jit::Value* value) { return is_constant(*value->node()); });
}

SIGHTGLASS_INLINE bool Split::is_size(const jit::Node& node, const jit::Value& input) {
  if (node.outputs().size() != 1 || !node.blocks().empty()) return false;
  if (node.kind() == c10::aten::size || node.kind() == c10::aten::dim) return node.input(0) == &input;
  if (node.output()->type()->isSubtypeOf(*c10::TensorType::get()) || node.inputs().empty()) return false;
  return std::all_of(node.inputs().begin(), node.inputs().end(), [&](const jit::Value* value) {
    return is_constant(*value->node()) || is_size(*value->node(), input);
  });
}

SIGHTGLASS_INLINE Split::GraphPointer Split::tail_of(jit::Graph& whole, const std::set<const void*>& places) {
  GraphPointer graph = whole.copy();
  jit::Node* const cut = find(*graph, places).first;
  jit::Value* const activations = graph->addInput("activations");
  set_dims(*activations, activations_dims_);
  cut->output()->replaceAllUsesWith(activations);
  for (jit::Node* node = cut; node != graph->param_node();) {
    jit::Node* const before = node->prev();
    if (!is_constant(*node) && !is_size(*node, *graph->inputs().at(0))) {
      for (const jit::Value* output : node->outputs()) {
        TORCH_CHECK(!output->hasUses(), "what lies behind the layer reads what was made before it, by ",
                    node->kind().toQualString());
      }
      node->destroy();
    }
    node = before;
  }
  settle_dims(graph);
  jit::OptimizeFrozenGraph(graph);
  tail_reads_input_ = graph->inputs().at(0)->hasUses();
  // The activations are looked at afterwards.
  if (jit::AliasDb(graph).hasWriters(activations)) copy_first(*graph, activations);
  return graph;
}

SIGHTGLASS_INLINE void Split::copy_first(jit::Graph& graph, jit::Value* activations) {
  const jit::WithInsertPoint here(*graph.nodes().begin());
  jit::Value* const none = graph.insertConstant(c10::IValue());
  jit::Node* const clone = graph.insertNode(graph.create(c10::aten::clone, {activations, none}));
  clone->output()->setType(activations->type());
  activations->replaceAllUsesAfterNodeWith(clone, clone->output());
}

}  // namespace sightglass::detail
