#pragma once

#include "sightglass/exported/detail/graph_values.hpp"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>

#include "sightglass/exported/detail/literals.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void insert_check(jit::Graph& graph, jit::Value* holds, const std::string& text, jit::Value* shown) {
  jit::Value* const fails = graph.insert(c10::aten::__not__, {holds});
  jit::Node* const branch = graph.insertNode(graph.create(c10::prim::If, {fails}, 0));
  jit::Block* const then = branch->addBlock();
  branch->addBlock();
  const jit::WithInsertPoint here(then);
  jit::Value* message = graph.insertConstant(text);
  if (shown != nullptr) {
    message = graph.insertNode(graph.create(c10::aten::format, {message, shown}))->output();
    message->setType(c10::StringType::get());
  }
  graph.insertNode(graph.create(c10::prim::RaiseException, {message, graph.insertConstant(c10::IValue())}, 0));
}

SIGHTGLASS_INLINE jit::Value* GraphValues::value(const std::string& name) {
  const auto given = values_.find(name);
  if (given != values_.end()) return given->second;
  const auto reached = reached_.find(name);
  if (reached != reached_.end()) return reached->second;
  const auto state = parts_.state.find(name);
  TORCH_CHECK(state != parts_.state.end(), "is damaged: its program reads \"", name, "\", which nothing makes before");
  const ProgramState& tensor = state->second;
  if (!tensor.constant.defined()) {
    const auto [path, last] = ModuleTree::split(tensor.name);
    TORCH_CHECK(ModuleTree::lies_in(path, path_), "is damaged: \"", tensor.name, "\" is out of reach");
    jit::Value* const read = attribute(path, last);
    const bool changes = parts_.written.state.count(tensor.name) != 0;  // and a gradient needs it as it was
    return reached_[name] = changes ? insert("aten::clone", {read}) : read;
  }
  jit::Module module = parts_.tree.at(path_);
  std::string last = ModuleTree::split(tensor.name).second;
  while (module.hasattr(last) &&
         !(module.attr(last).isTensor() && module.attr(last).toTensor().is_same(tensor.constant)))
    last += "_";
  if (!module.hasattr(last)) module.register_buffer(last, tensor.constant);
  return reached_[name] = attribute(path_, last);
}

SIGHTGLASS_INLINE jit::Value* GraphValues::attribute(const std::string& path, const std::string& name) {
  jit::Value* at = self_;
  const std::string below = path.substr(std::min(path.size(), path_.empty() ? 0 : path_.size() + 1));
  for (size_t begin = 0; begin < below.size();) {
    const size_t end = std::min(below.find('.', begin), below.size());
    at = graph_.insertGetAttr(at, below.substr(begin, end - begin));
    begin = end + 1;
  }
  return name.empty() ? at : graph_.insertGetAttr(at, name);
}

SIGHTGLASS_INLINE jit::Value* GraphValues::device() {
  const std::string name = "exported_device";
  jit::Module module = parts_.tree.at(path_);
  if (!module.hasattr(name))
    module.register_attribute(name, c10::DeviceObjType::get(), c10::Device(c10::DeviceType::CPU));
  return attribute(path_, name);
}

SIGHTGLASS_INLINE jit::Value* GraphValues::insert(const char* name, const std::vector<jit::Value*>& inputs) {
  std::vector<jit::NamedValue> given(inputs.begin(), inputs.end());
  return graph_.insert(c10::Symbol::fromQualString(name), given);
}

SIGHTGLASS_INLINE jit::Value* GraphValues::list(const Json& items, const c10::TypePtr& element) {
  std::vector<jit::Value*> values;
  for (const Json& item : items) {
    // Members of a list of tensors are named as they are; those of other lists are one of several things.
    values.push_back(item.contains("name") ? value(item.at("name").get<std::string>()) : argument(item, element));
  }
  return graph_.insertNode(graph_.createList(element, values))->output();
}

SIGHTGLASS_INLINE jit::Value* GraphValues::argument(const Json& given, const c10::TypePtr& type) {
  const auto& [kind, held] = member_of(given);
  if (kind == "as_tensor") return value(held.at("name").get<std::string>());
  if (kind == "as_name") return value(held.get<std::string>());
  if (kind == "as_sym_int" || kind == "as_sym_bool" || kind == "as_sym_float" || kind == "as_optional_tensor")
    return argument(held, type);
  if (kind == "as_tensors") {
    const auto taken = type->cast<c10::ListType>();
    return list(held, taken == nullptr ? c10::TypePtr(c10::TensorType::get()) : taken->getElementType());
  }
  if (kind == "as_optional_tensors") return list(held, c10::OptionalType::create(c10::TensorType::get()));
  if (kind == "as_sym_ints") return list(held, c10::IntType::get());
  if (kind == "as_sym_floats") return list(held, c10::FloatType::get());
  if (kind == "as_sym_bools") return list(held, c10::BoolType::get());
  if (kind == "as_device") return device();
  return constant(literal(kind, held, type));
}

SIGHTGLASS_INLINE void GraphValues::bind(const Json& outputs, at::ArrayRef<jit::Value*> values) {
  TORCH_CHECK(outputs.size() <= values.size(), "is damaged: it gives ", values.size(), " values, and ", outputs.size(),
              " are named");
  for (size_t i = 0; i < outputs.size(); ++i) bind_one(outputs[i], values[i]);
}

SIGHTGLASS_INLINE void GraphValues::bind_one(const Json& output, jit::Value* value) {
  const auto& [kind, held] = member_of(output);
  if (kind == "as_none") return;
  if (kind == "as_tensors" || kind == "as_optional_tensors") {
    TORCH_CHECK(value->type()->kind() == c10::TypeKind::ListType, "is damaged: it gives no list");
    jit::Node* const unpacked = graph_.insertNode(graph_.createListUnpack(value, held.size()));
    size_t index = 0;
    for (const Json& item : held)
      for (const std::string& name : names_in(item)) put(name, unpacked->output(index++));
    return;
  }
  if (value->type()->kind() == c10::TypeKind::NumberType) {
    value = insert(kind == "as_sym_int" ? "aten::Int" : kind == "as_sym_bool" ? "aten::Bool" : "aten::Float", {value});
  }
  for (const std::string& name : names_in(output)) put(name, value);
}

}  // namespace sightglass::detail
