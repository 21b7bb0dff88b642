#pragma once

#include "sightglass/exported/detail/higher_order.hpp"

#include <limits>
#include <utility>
#include <vector>

#include "sightglass/exported/detail/graph_maker.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

using Values = std::vector<jit::Value*>;

inline const Json& graph_of(const Json& inputs, size_t index) {
  return inputs.at(index).at("arg").at("as_graph").at("graph");
}

/// What a graph in the program's graph gives for these inputs, its operations put at the insertion point.
inline Values inlined(GraphValues& values, const Json& graph, const Values& inputs) {
  GraphValues inner(values.parts(), values.graph(), values.self(), values.path());
  const Json& takes = graph.at("inputs");
  TORCH_CHECK(takes.size() == inputs.size(), "is damaged: its graph takes ", takes.size(), " values, and is given ",
              inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) inner.bind(Json::array({takes[i]}), {inputs[i]});
  GraphMaker(graph, inner).make();
  Values outputs;
  for (const Json& output : graph.at("outputs")) outputs.push_back(inner.argument(output, c10::TensorType::get()));
  return outputs;
}

/// The values from an argument on, lists opened.
inline Values operands(GraphValues& values, const Json& inputs, size_t from) {
  Values found;
  for (size_t i = from; i < inputs.size(); ++i) {
    const Json& given = inputs[i].at("arg");
    const auto& [kind, held] = member_of(given);
    if (kind == "as_tensors") {
      for (const Json& item : held) found.push_back(values.value(item.at("name").get<std::string>()));
    } else if (kind == "as_sym_ints" || kind == "as_optional_tensors") {
      for (const Json& item : held) found.push_back(values.argument(item, c10::IntType::get()));
    } else if (kind == "as_ints") {
      for (const Json& item : held) found.push_back(values.constant(item.get<int64_t>()));
    } else {
      found.push_back(values.argument(given, c10::TensorType::get()));
    }
  }
  return found;
}

inline jit::Value* truth(GraphValues& values, jit::Value* value) {
  return value->type()->kind() == c10::TypeKind::BoolType ? value : values.insert("aten::Bool", {value});
}

/// One list of tensors, or each by itself.
inline void bind_results(GraphValues& values, const Json& node, const Values& results) {
  const Json& outputs = node.at("outputs");
  Json each = Json::array();
  for (const Json& output : outputs) {
    const auto& [kind, held] = member_of(output);
    if (kind != "as_tensors") {
      each.push_back(output);
    } else {
      for (const Json& item : held) each.push_back({{"as_tensor", item}});
    }
  }
  values.bind(each, results);
}

/// `cond(predicate, graph where true, graph where false, operands)`
inline void insert_condition(GraphValues& values, const Json& node) {
  const Json& inputs = node.at("inputs");
  const Values given = operands(values, inputs, 3);
  jit::Value* const holds = truth(values, values.argument(inputs.at(0).at("arg"), c10::TensorType::get()));
  jit::Node* const branch = values.graph().insertNode(values.graph().create(c10::prim::If, {holds}, 0));
  Values results;
  for (const size_t side : {size_t{1}, size_t{2}}) {
    jit::Block* const block = branch->addBlock();
    const jit::WithInsertPoint here(block);
    const Values outputs = inlined(values, graph_of(inputs, side), given);
    for (jit::Value* output : outputs) block->registerOutput(output);
    if (side == 1) results = outputs;
    TORCH_CHECK(outputs.size() == results.size(), "is damaged: its branches do not give the same");
  }
  for (jit::Value*& result : results) result = branch->addOutput()->setType(result->type());
  bind_results(values, node, results);
}

/// `while_loop(graph of the condition, graph of the body, values carried on, values only read)`
inline void insert_loop(GraphValues& values, const Json& node) {
  const Json& inputs = node.at("inputs");
  TORCH_CHECK(inputs.size() == 4, "is damaged: it takes four things, and is given ", inputs.size());
  const Values carried = operands(values, Json::array({inputs[2]}), 0);
  const Values read = operands(values, Json::array({inputs[3]}), 0);
  const auto with_read = [&](Values first) {
    first.insert(first.end(), read.begin(), read.end());
    return first;
  };
  jit::Value* const most = values.constant(std::numeric_limits<int64_t>::max());
  jit::Value* const begins = truth(values, inlined(values, graph_of(inputs, 0), with_read(carried)).at(0));
  Values loop_inputs{most, begins};
  loop_inputs.insert(loop_inputs.end(), carried.begin(), carried.end());
  jit::Node* const loop = values.graph().insertNode(values.graph().create(c10::prim::Loop, loop_inputs, 0));
  jit::Block* const body = loop->addBlock();
  body->addInput()->setType(c10::IntType::get());
  Values before, results;
  for (jit::Value* value : carried) before.push_back(body->addInput()->setType(value->type()));
  {
    const jit::WithInsertPoint here(body);
    const Values after = inlined(values, graph_of(inputs, 1), with_read(before));
    TORCH_CHECK(after.size() == carried.size(), "is damaged: its body does not give what it takes");
    body->registerOutput(truth(values, inlined(values, graph_of(inputs, 0), with_read(after)).at(0)));
    for (jit::Value* value : after) body->registerOutput(value);
  }
  for (jit::Value* value : carried) results.push_back(loop->addOutput()->setType(value->type()));
  bind_results(values, node, results);
}

/// `wrap_with_set_grad_enabled(enabled, graph, operands...)`: what ran without gradients gives constants.
inline void insert_without_gradients(GraphValues& values, const Json& node) {
  const Json& inputs = node.at("inputs");
  Values results = inlined(values, graph_of(inputs, 1), operands(values, inputs, 2));
  if (!member_of(inputs.at(0).at("arg")).second.get<bool>()) {
    for (jit::Value*& result : results) {
      if (result->type()->isSubtypeOf(*c10::TensorType::get())) result = values.insert("aten::detach", {result});
    }
  }
  bind_results(values, node, results);
}

SIGHTGLASS_INLINE void insert_higher_order(GraphValues& values, const Json& node, const std::string& name) {
  const Json& inputs = node.at("inputs");
  if (name == "cond") return insert_condition(values, node);
  if (name == "while_loop") return insert_loop(values, node);
  if (name == "wrap_with_set_grad_enabled") return insert_without_gradients(values, node);
  if (name == "wrap_with_autocast") {
    TORCH_CHECK(
        !member_of(inputs.at(2).at("arg")).second.get<bool>(),
        "runs under autocast, which is not supported as such; in Python: program.run_decompositions() writes its "
        "casts out");
    return bind_results(values, node, inlined(values, graph_of(inputs, 4), operands(values, inputs, 5)));
  }
  C10_THROW_ERROR(Error, c10::str("is an operation that holds graphs and is not supported (torch.cond and while_loop "
                                  "are); write it with those, or as a loop of Python's, which the export unrolls"));
}

}  // namespace sightglass::detail
