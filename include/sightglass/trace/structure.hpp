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

inline c10::impl::GenericDict empty_dict() {
  return c10::impl::GenericDict(c10::StringType::get(), c10::AnyType::get());
}
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
inline std::string key_text(const c10::IValue& key) { return key.isString() ? key.toStringRef() : c10::str(key); }

/// True where a tensor in it is undefined, as fast attention gives in place of its weights.
inline bool has_undefined(const c10::IValue& value) {
  if (value.isTensor()) return !value.toTensor().defined();
  if (!value.isTuple()) return false;
  const auto& elements = value.toTupleRef().elements();
  return std::any_of(elements.begin(), elements.end(), has_undefined);
}

/// The names of a NamedTuple's elements; none for other tuples. (LibTorch cannot tell the type of undefined tensors.)
inline std::vector<std::string> names_in(const c10::IValue& tuple) {
  std::vector<std::string> names;
  if (has_undefined(tuple)) return names;
  const auto type = tuple.toTupleRef().type();
  if (type->schema() == nullptr) return names;
  for (const c10::Argument& element : type->schema()->arguments()) names.push_back(element.name());
  return names;
}

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
inline std::vector<std::string> paths_in(const c10::IValue& value) {
  std::vector<std::string> paths;
  if (value.isTensor()) return paths;
  for_each_path(value, "", [&](const std::string& path, const at::Tensor&) { paths.push_back(path); });
  return paths;
}

/// Which of `count` tensors `wanted` names: one of their `paths`, which the last may lack, or a number in their order.
inline std::optional<size_t> index_of_path(const std::vector<std::string>& paths, size_t count,
                                           const std::string& wanted) {
  for (size_t i = 0; i < paths.size(); ++i) {
    if (paths[i] == wanted) return i;
  }
  const bool number =
      !wanted.empty() && wanted.size() < 9 && wanted.find_first_not_of("0123456789") == std::string::npos;
  const size_t index = number ? std::stoul(wanted) : count;
  return index < count ? std::optional<size_t>(index) : std::nullopt;
}

/// `"boxes", "scores"`; for messages.
inline std::string quoted_list(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "\"" : ", \"") + name + "\"";
  return text.empty() ? "none" : text;
}

/// Which of `count` outputs of `whom` is called `wanted`. Throws where there is none, and says what there is.
inline size_t index_of_output(const std::string& whom, std::vector<std::string> paths, size_t count,
                              const std::string& wanted) {
  const std::optional<size_t> index = index_of_path(paths, count, wanted);
  for (size_t i = paths.size(); !index && i < count; ++i) paths.push_back(std::to_string(i));
  TORCH_CHECK(index.has_value(), whom, ": it has no output \"", wanted, "\"; it gives ", quoted_list(paths));
  return *index;
}

/// The tensor at `wanted`; empty: the first floating-point one. Throws where there is none, and says what there is.
inline at::Tensor pick_tensor(const c10::IValue& value, const std::string& wanted) {
  if (value.isTensor() && (wanted.empty() || wanted == "0")) return value.toTensor();
  std::vector<std::string> paths;
  std::vector<at::Tensor> tensors;
  for_each_path(value, "", [&](const std::string& path, const at::Tensor& tensor) {
    paths.push_back(path);
    tensors.push_back(tensor);
  });
  if (value.isTensor()) paths = {"0"};
  if (wanted.empty()) {
    for (const at::Tensor& tensor : tensors) {
      if (tensor.is_floating_point()) return tensor;
    }
    TORCH_CHECK(false, "model: it gives ", tensors.empty() ? "no tensor" : "no floating-point tensor",
                "; a score to explain must be one");
  }
  const std::optional<size_t> index = index_of_path(paths, paths.size(), wanted);
  TORCH_CHECK(index.has_value(), "output \"", wanted, "\": the model gives no such tensor; it gives ",
              quoted_list(paths));
  return tensors[*index];
}

}  // namespace sightglass::detail
