#pragma once

#include <ATen/core/Dict.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <torch/ordered_dict.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/trace/tensors.hpp"

/// What models and layers take and give: tensors, and lists, tuples and dictionaries of them, nested as you like.
/// A tensor in it has a path: `out`, `1`, `boxes.0`.
namespace sightglass::detail {

// ---- Any C++ value of that kind as a `c10::IValue`.
inline c10::IValue to_value(const c10::IValue& value) { return value; }
inline c10::IValue to_value(const at::Tensor& value) { return value; }
template <class T>
c10::IValue to_value(const std::vector<T>& values);
template <class T>
c10::IValue to_value(const c10::optional<T>& value);
template <class... T>
c10::IValue to_value(const std::tuple<T...>& values);
template <class A, class B>
c10::IValue to_value(const std::pair<A, B>& values);
template <class T>
c10::IValue to_value(const std::map<std::string, T>& values);
template <class T>
c10::IValue to_value(const std::unordered_map<std::string, T>& values);
template <class T>
c10::IValue to_value(const torch::OrderedDict<std::string, T>& values);
template <class K, class V>
c10::IValue to_value(const c10::Dict<K, V>& values) {
  return c10::impl::toGenericDict(values);
}

template <class T>
c10::IValue to_value(const std::vector<T>& values) {
  std::vector<c10::IValue> elements;
  for (const auto& element : values) elements.push_back(to_value(element));
  return c10::ivalue::Tuple::create(std::move(elements));
}
template <class T>
c10::IValue to_value(const c10::optional<T>& value) {
  return value ? to_value(*value) : c10::IValue();
}
template <class... T>
c10::IValue to_value(const std::tuple<T...>& values) {
  return std::apply(
      [](const auto&... elements) {
        return c10::IValue(c10::ivalue::Tuple::create(std::vector<c10::IValue>{to_value(elements)...}));
      },
      values);
}
template <class A, class B>
c10::IValue to_value(const std::pair<A, B>& values) {
  return c10::ivalue::Tuple::create(std::vector<c10::IValue>{to_value(values.first), to_value(values.second)});
}

c10::impl::GenericDict empty_dict();
template <class T>
c10::IValue to_value(const std::map<std::string, T>& values) {
  auto dict = empty_dict();
  for (const auto& [key, element] : values) dict.insert(key, to_value(element));
  return dict;
}
template <class T>
c10::IValue to_value(const std::unordered_map<std::string, T>& values) {
  return to_value(std::map<std::string, T>(values.begin(), values.end()));
}
template <class T>
c10::IValue to_value(const torch::OrderedDict<std::string, T>& values) {
  auto dict = empty_dict();
  for (const auto& item : values) dict.insert(item.key(), to_value(item.value()));
  return dict;
}

template <class T, class = void>
struct has_value_form : std::false_type {};
template <class T>
struct has_value_form<T, std::void_t<decltype(to_value(std::declval<const T&>()))>> : std::true_type {};

// ---- Paths.
std::string key_text(const c10::IValue& key);

/// True where a tensor in it is undefined, as fast attention gives in place of its weights.
bool has_undefined(const c10::IValue& value);

/// The names of a NamedTuple's elements; none for other tuples. (LibTorch cannot tell the type of undefined tensors.)
std::vector<std::string> names_in(const c10::IValue& tuple);

/// Calls `visit(path, tensor)` for each tensor in `value`; the path of a tensor that stands alone is empty.
template <class Visit>
void for_each_path(const c10::IValue& value, const std::string& path, Visit&& visit) {
  const auto inside = [&](const std::string& key) { return path.empty() ? key : path + "." + key; };
  if (value.isTensor()) {
    if (value.toTensor().defined()) visit(path, value.toTensor());
  } else if (value.isList()) {
    size_t index = 0;
    for (const c10::IValue& element : value.toListRef()) for_each_path(element, inside(std::to_string(index++)), visit);
  } else if (value.isTuple()) {
    const std::vector<std::string> names = names_in(value);
    size_t index = 0;
    for (const c10::IValue& element : value.toTupleRef().elements()) {
      for_each_path(element, inside(index < names.size() ? names[index] : std::to_string(index)), visit);
      ++index;
    }
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) for_each_path(entry.value(), inside(key_text(entry.key())), visit);
  }
}

/// The path of each tensor in `value`, in order; none where it is one tensor.
std::vector<std::string> paths_in(const c10::IValue& value);

/// Which of `count` tensors `wanted` names: one of their `paths`, which the last may lack, or a number in their order.
std::optional<size_t> index_of_path(const std::vector<std::string>& paths, size_t count, const std::string& wanted);

/// `"boxes", "scores"`; for messages.
std::string quoted_list(const std::vector<std::string>& names);

/// Which of `count` outputs of `whom` is called `wanted`. Throws where there is none, and says what there is.
size_t index_of_output(const std::string& whom, std::vector<std::string> paths, size_t count,
                       const std::string& wanted);

/// The tensor at `wanted`, else the first floating-point one. Throws where there is none, and says what there is.
at::Tensor pick_tensor(const c10::IValue& value, const std::optional<std::string>& wanted = std::nullopt);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/structure_inl.hpp"
#endif
