#pragma once

#include "sightglass/exported/detail/call_spec.hpp"

#include <algorithm>
#include <utility>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

template <class T>
std::vector<T> slice(const std::vector<T>& items, size_t& from, size_t count) {
  TORCH_CHECK(count <= items.size() - std::min(from, items.size()),
              "is damaged: it has fewer inputs or outputs than "
              "its call specification");
  const auto begin = items.begin() + static_cast<std::ptrdiff_t>(from);
  from += count;
  return std::vector<T>(begin, begin + static_cast<std::ptrdiff_t>(count));
}

/// The keys that a dictionary's context tells, or the fields of a class that lies as one.
inline std::vector<c10::IValue> keys_of(const Json& node) {
  std::vector<c10::IValue> keys;
  const Json* const context = find(node, "context");
  if (context == nullptr) return keys;
  Json told =
      context->is_string() ? Json::parse(context->get<std::string>(), nullptr, /*allow_exceptions=*/false) : *context;
  if (told.is_array() && told.size() == 2 && told[1].is_array())
    told = Json(told[1]);  // defaultdict: its factory, keys
  if (!told.is_array()) return keys;
  for (const Json& key : told) {
    if (key.is_string())
      keys.emplace_back(key.get<std::string>());
    else if (key.is_number_integer())
      keys.emplace_back(key.get<int64_t>());
  }
  return keys;
}

SIGHTGLASS_INLINE CallSpec::CallSpec(const std::string& text) {
  const Json spec = Json::parse(text);
  TORCH_CHECK(spec.is_array() && spec.size() == 2 && spec[0] == 1,
              "is of a newer format: its call specification is "
              "not version 1");
  *this = CallSpec(spec[1], 0);
}

SIGHTGLASS_INLINE CallSpec::CallSpec(const Json& node, int depth) {
  TORCH_CHECK(depth < 64, "is damaged: its inputs or outputs lie in each other more than 64 deep");
  const Json* const type = find(node, "type");
  if (type == nullptr) return;
  const auto name = type->get<std::string>();
  leaves_ = 0;
  for (const Json& child : node.at("children_spec")) {
    parts_.push_back(CallSpec(child, depth + 1));
    leaves_ += parts_.back().leaves();
  }
  keys_ = keys_of(node);
  const bool named = !parts_.empty() && keys_.size() == parts_.size();
  if (name == "builtins.list" || name == "collections.deque")
    kind_ = Kind::list;
  else if (name == "builtins.tuple" || name == "collections.namedtuple")
    kind_ = Kind::tuple;
  else if (named || name.find("dict") != std::string::npos || name.find("Dict") != std::string::npos)
    kind_ = Kind::dictionary;
  else
    kind_ = Kind::tuple;  // a class: its members
  if (kind_ != Kind::dictionary) keys_.clear();
  TORCH_CHECK(kind_ != Kind::dictionary || keys_.size() == parts_.size(),
              "has a dictionary whose keys are neither text nor whole numbers");
}

SIGHTGLASS_INLINE c10::TypePtr CallSpec::shared(const std::vector<c10::TypePtr>& types) {
  if (types.empty()) return c10::TensorType::get();
  const bool same = std::all_of(types.begin(), types.end(), [&](const auto& type) { return *type == *types.front(); });
  return same ? types.front() : c10::TypePtr(c10::AnyType::get());
}

SIGHTGLASS_INLINE c10::TypePtr CallSpec::key_type() const {
  const bool text = keys_.empty() || keys_.front().isString();
  return text ? c10::TypePtr(c10::StringType::get()) : c10::IntType::get();
}

SIGHTGLASS_INLINE std::vector<c10::TypePtr> CallSpec::part_types(const std::vector<c10::TypePtr>& leaves) const {
  std::vector<c10::TypePtr> types;
  size_t next = 0;
  for (const CallSpec& part : parts_) types.push_back(part.type(slice(leaves, next, part.leaves())));
  return types;
}

SIGHTGLASS_INLINE c10::TypePtr CallSpec::type(const std::vector<c10::TypePtr>& leaves) const {
  if (kind_ == Kind::leaf) return leaves.at(0);
  const std::vector<c10::TypePtr> types = part_types(leaves);
  if (kind_ == Kind::tuple) return c10::TupleType::create(types);
  if (kind_ == Kind::list) return c10::ListType::create(shared(types));
  return c10::DictType::create(key_type(), shared(types));
}

SIGHTGLASS_INLINE void CallSpec::unpack(jit::Graph& graph, jit::Value* value, std::vector<jit::Value*>& leaves,
                                        const std::vector<c10::TypePtr>& types) const {
  if (kind_ == Kind::leaf) return leaves.push_back(value);
  if (parts_.empty()) return;
  const std::vector<c10::TypePtr> wanted = part_types(types);
  std::vector<jit::Value*> values;
  if (kind_ == Kind::dictionary) {
    for (const c10::IValue& key : keys_)
      values.push_back(graph.insert(c10::aten::__getitem__, {value, graph.insertConstant(key)}));
  } else {
    jit::Node* const node = graph.insertNode(kind_ == Kind::tuple ? graph.createTupleUnpack(value)
                                                                  : graph.createListUnpack(value, parts_.size()));
    values.assign(node->outputs().begin(), node->outputs().end());
  }
  size_t next = 0;
  for (size_t i = 0; i < parts_.size(); ++i) {
    jit::Value* part = values.at(i);
    if (part->type()->kind() == c10::TypeKind::AnyType) {
      part = graph.insertNode(graph.create(c10::prim::unchecked_cast, {part}))->output();
      part->setType(wanted[i]);
    }
    parts_[i].unpack(graph, part, leaves, slice(types, next, parts_[i].leaves()));
  }
}

SIGHTGLASS_INLINE jit::Value* CallSpec::pack(jit::Graph& graph, const std::vector<jit::Value*>& leaves) const {
  if (kind_ == Kind::leaf) return leaves.at(0);
  std::vector<jit::Value*> values, keys;
  std::vector<c10::TypePtr> types;
  size_t next = 0;
  for (const CallSpec& part : parts_) {
    values.push_back(part.pack(graph, slice(leaves, next, part.leaves())));
    types.push_back(values.back()->type());
  }
  if (kind_ == Kind::tuple) return graph.insertNode(graph.createTuple(values))->output();
  if (kind_ == Kind::list) return graph.insertNode(graph.createList(shared(types), values))->output();
  for (const c10::IValue& key : keys_) keys.push_back(graph.insertConstant(key));
  return graph.insertNode(graph.createDict(key_type(), shared(types), keys, values))->output();
}

}  // namespace sightglass::detail
