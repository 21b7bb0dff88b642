#pragma once

#include "sightglass/exported/detail/insert_operation.hpp"

#include <ATen/ATen.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/version.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sightglass/exported/detail/attention.hpp"
#include "sightglass/exported/detail/operators.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

inline const Json& input_of(const Json& node, size_t index) { return node.at("inputs").at(index).at("arg"); }

/// What says nothing when an older LibTorch does not know the argument.
inline bool is_idle(const Json& given) {
  const auto& [kind, held] = member_of(given);
  return kind == "as_none" || (kind == "as_bool" && !held.get<bool>());
}

inline bool is_number(const Json& given) {
  const std::string kind = member_of(given).first;
  return kind == "as_int" || kind == "as_float" || kind == "as_bool" || kind == "as_sym_int" || kind == "as_sym_float";
}

/// The arguments in the schema's order; null where none is given. They are told by name, and older names by place.
inline std::vector<const Json*> arranged(const Json& node, const c10::FunctionSchema& schema) {
  const auto& takes = schema.arguments();
  std::vector<const Json*> given(takes.size(), nullptr), unnamed;
  const Json& inputs = node.at("inputs");
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto name = inputs[i].at("name").get<std::string>();
    const auto index = schema.argumentIndexWithName(name);
    const Json& value = inputs[i].at("arg");
    if (index) {
      given[static_cast<size_t>(*index)] = &value;
    } else if (i < takes.size() && !takes[i].kwarg_only() && given[i] == nullptr) {
      given[i] = &value;
    } else {
      TORCH_CHECK(is_idle(value), "it takes an argument \"", name, "\" that LibTorch ", TORCH_VERSION,
                  " does not know; load the file with a newer LibTorch");
    }
  }
  return given;
}

/// A number where a tensor is taken counts as a number in the choice of the result's type.
inline jit::Value* as_tensor(GraphValues& values, const Json& given) {
  jit::Value* const number = values.argument(given, c10::NumberType::get());
  const auto known = jit::toIValue(number);
  if (!known) return values.insert("prim::NumToTensor", {number});
  at::Tensor made = at::scalar_tensor(known->toScalar(), known->isDouble() ? at::kDouble : at::kLong);
  made.unsafeGetTensorImpl()->set_wrapped_number(true);
  return values.constant(made);
}

inline jit::Value* value_for(GraphValues& values, const Json* given, const c10::Argument& takes) {
  if (given == nullptr) {
    TORCH_CHECK(takes.default_value(), "is damaged: it lacks the argument \"", takes.name(), "\"");
    return values.constant(*takes.default_value());
  }
  const bool tensor = takes.type()->isSubtypeOf(*c10::TensorType::get());
  if (tensor && is_number(*given)) return as_tensor(values, *given);
  jit::Value* const value = values.argument(*given, takes.type());
  const bool several = takes.type()->kind() == c10::TypeKind::ListType && takes.N();
  const auto known = several ? jit::toIValue(value) : c10::nullopt;
  if (!known || !known->isIntList() || known->toIntVector().size() != 1) return value;
  return values.constant(std::vector<int64_t>(static_cast<size_t>(*takes.N()), known->toIntVector().front()));
}

inline void insert_node(GraphValues& values, const Json& node, const c10::FunctionSchema& schema,
                        const std::vector<jit::Value*>& inputs) {
  jit::Graph& graph = values.graph();
  jit::Node* const made = graph.create(c10::Symbol::fromQualString(schema.name()), inputs, schema.returns().size());
  for (size_t i = 0; i < made->outputs().size(); ++i) made->output(i)->setType(schema.returns()[i].type());
  graph.insertNode(made);
  const jit::Operator* const found = made->maybeOperator();
  TORCH_CHECK(found != nullptr && found->schema().overload_name() == schema.overload_name(),
              "its arguments do not fit ", schema, found == nullptr ? "" : "; they fit " + c10::str(found->schema()));
  values.bind(node.at("outputs"), made->outputs());
}

inline void insert_operator(GraphValues& values, const Json& node, const OperatorName& name) {
  const c10::FunctionSchema* schema = find_schema(name);
  TORCH_CHECK(schema != nullptr, "it is not in LibTorch ", TORCH_VERSION, " (PyTorch ", values.parts().version,
              " wrote the file); load it with that LibTorch or a newer one",
              name.name.rfind("aten::", 0) == 0 ? "" : ", and with the library that the operation is of");
  std::vector<const Json*> given = arranged(node, *schema);
  for (size_t i = 0; i < given.size(); ++i) {
    const bool tensor = schema->arguments()[i].type()->isSubtypeOf(*c10::TensorType::get());
    if (!tensor || given[i] == nullptr || !is_number(*given[i])) continue;
    if (const c10::FunctionSchema* const other = with_number(*schema, i)) schema = other;
  }
  std::vector<jit::Value*> inputs;
  for (size_t i = 0; i < given.size(); ++i) inputs.push_back(value_for(values, given[i], schema->arguments()[i]));
  insert_node(values, node, *schema, inputs);
}

/// Batch norm in evaluation as newer exports tell it, with two results that nobody reads.
inline void insert_batch_norm(GraphValues& values, const Json& node) {
  const auto tensor = [&](size_t index) { return values.argument(input_of(node, index), c10::TensorType::get()); };
  const auto number = [&](size_t index) { return values.argument(input_of(node, index), c10::FloatType::get()); };
  const std::vector<jit::Value*> inputs{tensor(0), tensor(1), tensor(2),
                                        tensor(3), tensor(4), values.constant(false),
                                        number(5), number(6), values.constant(true)};
  jit::Value* const result = values.insert("aten::batch_norm", inputs);
  values.bind(Json::array({node.at("outputs").at(0)}), {result});
}

/// True where the operation is one that others stand for, on this LibTorch and on older ones.
inline bool replaced(GraphValues& values, const Json& node, const OperatorName& name) {
  const auto argument = [&](size_t index, const c10::TypePtr& type) {
    return values.argument(input_of(node, index), type);
  };
  if (name.name == "aten::sym_size" && name.overload == "int") {
    const std::vector<jit::Value*> inputs{argument(0, c10::TensorType::get()), argument(1, c10::IntType::get())};
    values.bind(node.at("outputs"), {values.insert("aten::size", inputs)});
  } else if (name.name == "aten::sym_numel") {
    values.bind(node.at("outputs"), {values.insert("aten::numel", {argument(0, c10::TensorType::get())})});
  } else if (name.name == "aten::_assert_scalar") {
    jit::Value* const holds = values.insert("aten::Bool", {argument(0, c10::NumberType::get())});
    insert_check(values.graph(), holds, member_of(input_of(node, 1)).second.get<std::string>());
  } else if (name.name == "aten::_native_batch_norm_legit_no_training") {
    insert_batch_norm(values, node);
  } else if (name.name == "aten::scaled_dot_product_attention" && find_schema(name) == nullptr) {
    insert_attention(values, node);
  } else {
    return false;
  }
  return true;
}

/// Python's arithmetic on sizes.
inline void insert_arithmetic(GraphValues& values, const Json& node, const std::string& target) {
  std::vector<jit::Value*> inputs;
  if (target == "torch.sym_sum") {
    for (const Json& item : member_of(input_of(node, 0)).second)
      inputs.push_back(item.is_object() ? values.argument(item, c10::IntType::get())
                                        : values.constant(item.get<int64_t>()));
    TORCH_CHECK(!inputs.empty(), "is damaged: a sum of nothing");
    jit::Value* sum = inputs.front();
    for (size_t i = 1; i < inputs.size(); ++i) sum = values.insert("aten::add", {sum, inputs[i]});
    return values.bind(node.at("outputs"), {sum});
  }
  for (size_t i = 0; i < node.at("inputs").size(); ++i)
    inputs.push_back(values.argument(input_of(node, i), c10::NumberType::get()));
  if (target == "_operator.pos") return values.bind(node.at("outputs"), inputs);
  const char* const name = arithmetic(target);
  TORCH_CHECK(name != nullptr,
              "is nothing that an exported program is known to do; say so, with the file, to "
              "sightglass's developers");
  jit::Value* result = values.insert(name, inputs);
  const bool whole = member_of(node.at("outputs").at(0)).first == "as_sym_int";
  if (whole && result->type()->kind() != c10::TypeKind::IntType) result = values.insert("aten::Int", {result});
  values.bind(node.at("outputs"), {result});
}

SIGHTGLASS_INLINE void insert_operation(GraphValues& values, const Json& node) {
  const auto target = node.at("target").get<std::string>();
  const auto name = operator_name(target);
  if (!name)
    insert_arithmetic(values, node, target);
  else if (!only_states(*name) && !replaced(values, node, *name))
    insert_operator(values, node, *name);
}

}  // namespace sightglass::detail
