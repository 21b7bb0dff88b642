#pragma once

#include "sightglass/trace/script/script_marks.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void run_mark(Stack& stack) {
  const auto side = static_cast<Side>(jit::pop(stack).toInt());
  const auto* const place = reinterpret_cast<const void*>(jit::pop(stack).toInt());
  if (thread_state().listener == nullptr) return;
  c10::IValue& value = stack.back();
  std::vector<at::Tensor> tensors = flat_tensors(c10::ArrayRef<c10::IValue>(value));
  const std::vector<at::Tensor> before = tensors;
  if (side == Side::end && !value.isTensor()) thread_state().listener->keys(place, paths_in(value));
  announce(place, side, tensors);
  size_t index = 0;
  change_tensors(value, [&](const at::Tensor& tensor) {
    const size_t at = index++;
    return tensor.is_same(before[at]) ? tensors[at] : tensor;
  });
}

SIGHTGLASS_INLINE jit::Value* insert_mark(jit::Graph& graph, jit::Value* value, const void* place, Side side) {
  jit::Value* const place_constant = graph.insertConstant(reinterpret_cast<int64_t>(place));
  jit::Value* const side_constant = graph.insertConstant(static_cast<int64_t>(side));
  jit::Node* const node = graph.insertNode(graph.create(mark_symbol(), {value, place_constant, side_constant}));
  node->output()->setType(value->type());
  return node->output();
}

SIGHTGLASS_INLINE std::vector<torch::jit::Function*> called_by(const jit::Block& block) {
  std::vector<torch::jit::Function*> called;
  for (const jit::Node* node : block.nodes()) {
    for (const jit::Block* inner : node->blocks()) {
      const std::vector<torch::jit::Function*> there = called_by(*inner);
      called.insert(called.end(), there.begin(), there.end());
    }
    if (node->kind() == c10::prim::CallMethod) {
      const auto type = node->input(0)->type()->cast<c10::ClassType>();
      if (type != nullptr && type->findMethod(node->s(c10::attr::name)) != nullptr)
        called.push_back(&type->getMethod(node->s(c10::attr::name)));
    } else if (node->kind() == c10::prim::CallFunction) {
      if (const auto type = node->input(0)->type()->cast<c10::FunctionType>()) called.push_back(type->function());
    }
  }
  return called;
}

SIGHTGLASS_INLINE bool is_forward(const std::string& method) {
  const std::string forward = "forward";
  if (method.compare(0, forward.size(), forward) != 0) return false;
  const std::string rest = method.substr(method.compare(0, 9, "forward__") == 0 ? 9 : forward.size());
  return std::all_of(rest.begin(), rest.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
}

SIGHTGLASS_INLINE std::shared_ptr<jit::Graph> Marker::mark(const jit::Module& module) {
  auto graph = marked_method(module, "", "forward");
  for (const std::string& path : paths_) {
    if (called_.count(path) == 0) by_any_method_.insert(path);
  }
  return by_any_method_.empty() ? graph : marked_method(module, "", "forward");
}

SIGHTGLASS_INLINE bool Marker::leads_to_wanted(const std::string& path) const {
  if (path.empty()) return !paths_.empty();
  const auto next = paths_.lower_bound(path + ".");
  return next != paths_.end() && next->compare(0, path.size() + 1, path + ".") == 0;
}

SIGHTGLASS_INLINE bool Marker::is_call(const std::string& path, const std::string& method) const {
  return is_wanted(path) && (is_forward(method) || by_any_method_.count(path) != 0);
}

SIGHTGLASS_INLINE std::shared_ptr<jit::Graph> Marker::marked_method(const jit::Module& module, const std::string& path,
                                                                    const std::string& method) {
  auto* const function = jit::tryToGraphFunction(module.get_method(method).function());
  if (function == nullptr) return nullptr;
  std::shared_ptr<jit::Graph> graph = function->graph()->copy();
  Objects objects;
  objects.emplace(graph->inputs().at(0), Submodule{path, module});
  mark_block(*graph->block(), objects, path);
  return graph;
}

SIGHTGLASS_INLINE void Marker::mark_block(jit::Block& block, Objects& objects, const std::string& self) {
  for (jit::Node* node = *block.nodes().begin(); node != block.return_node();) {
    jit::Node* next = node->next();
    for (jit::Block* inner : node->blocks()) mark_block(*inner, objects, self);
    if (node->kind() == c10::prim::GetAttr) {
      follow_attribute(*node, objects);
    } else if (node->kind() == c10::prim::CallMethod) {
      mark_call(*node, objects, self);
    }
    node = next;
  }
}

SIGHTGLASS_INLINE void Marker::follow_attribute(const jit::Node& node, Objects& objects) {
  const auto parent = objects.find(node.input());
  if (parent == objects.end()) return;
  const std::string& name = node.s(c10::attr::name);
  const c10::IValue value = parent->second.module.attr(name);
  if (!value.isModule()) return;
  const std::string path = parent->second.path.empty() ? name : parent->second.path + "." + name;
  objects.emplace(node.output(), Submodule{path, value.toModule()});
}

SIGHTGLASS_INLINE void Marker::mark_call(jit::Node& call, const Objects& objects, const std::string& self) {
  const auto callee = objects.find(call.input(0));
  if (callee == objects.end()) return;
  const std::string method = call.s(c10::attr::name);
  const Submodule& known = callee->second;
  if (known.path != self && is_call(known.path, method)) {
    called_.insert(known.path);
    const auto* const place = known.module._ivalue().get();
    jit::Node& after = *call.next();
    mark_inputs(call, place);
    for (jit::Value* output : call.outputs()) mark_value(output, place, Side::end, after);
  }
  if (!leads_to_wanted(known.path)) return;
  if (const auto inside = marked_method(known.module, known.path, method))
    jit::inlineCallTo(&call, jit::tryToGraphFunction(known.module.get_method(method).function()), inside.get());
}

SIGHTGLASS_INLINE void Marker::mark_inputs(jit::Node& call, const void* place) {
  jit::Graph& graph = *call.owningGraph();
  if (call.inputs().size() == 1) {
    const jit::WithInsertPoint here(&call);
    insert_mark(graph, graph.insertConstant(c10::IValue()), place, Side::begin);
  } else if (call.inputs().size() == 2) {
    call.replaceInput(1, mark_before(call, call.input(1), place, Side::begin));
  } else if (call.inputs().size() > 2) {
    jit::Node* const tuple = graph.createTuple(call.inputs().slice(1))->insertBefore(&call);
    jit::Value* const marked = mark_before(call, tuple->output(), place, Side::begin);
    jit::Node* const unpacked = graph.createTupleUnpack(marked)->insertBefore(&call);
    for (size_t i = 1; i < call.inputs().size(); ++i) call.replaceInput(i, unpacked->output(i - 1));
  }
}

SIGHTGLASS_INLINE void Marker::mark_value(jit::Value* value, const void* place, Side side, jit::Node& before) {
  jit::Value* const marked = mark_before(before, value, place, side);
  value->replaceAllUsesAfterNodeWith(marked->node(), marked);
}

SIGHTGLASS_INLINE jit::Value* Marker::mark_before(jit::Node& node, jit::Value* value, const void* place, Side side) {
  const jit::WithInsertPoint here(&node);
  return insert_mark(*node.owningGraph(), value, place, side);
}

}  // namespace sightglass::detail
