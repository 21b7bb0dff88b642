#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/utils/rnn.h>

#include <array>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

/// Tensors among the arguments and results of a user's `forward`: tensors, and tuples, pairs, vectors, arrays, maps,
/// optionals and plain structs (up to eight fields) of them, nested as you like. Whatever else there is does not count.
namespace sightglass::detail {

using Tensors = std::vector<at::Tensor>;

/// Stands for any field of a struct, to count them.
struct AnyField {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor): it converts
};

template <class T, class Fields, class = void>
struct has_fields : std::false_type {};
template <class T, size_t... field>
struct has_fields<T, std::index_sequence<field...>,
                  std::void_t<decltype(T{(static_cast<void>(field), std::declval<AnyField>())...})>> : std::true_type {
};

/// How many fields a plain struct has; 0 where it has none or more than eight.
template <class T, size_t most = 9>
constexpr size_t fields_of() {
  if constexpr (most == 0) {
    return 0;
  } else if constexpr (has_fields<T, std::make_index_sequence<most>>::value) {
    return most > 8 ? 0 : most;
  } else {
    return fields_of<T, most - 1>();
  }
}

/// The fields as a tuple of references.
template <class T>
auto fields(T& value) {
  constexpr size_t count = fields_of<std::remove_const_t<T>>();
  if constexpr (count == 1) {
    auto& [a] = value;
    return std::tie(a);
  } else if constexpr (count == 2) {
    auto& [a, b] = value;
    return std::tie(a, b);
  } else if constexpr (count == 3) {
    auto& [a, b, c] = value;
    return std::tie(a, b, c);
  } else if constexpr (count == 4) {
    auto& [a, b, c, d] = value;
    return std::tie(a, b, c, d);
  } else if constexpr (count == 5) {
    auto& [a, b, c, d, e] = value;
    return std::tie(a, b, c, d, e);
  } else if constexpr (count == 6) {
    auto& [a, b, c, d, e, f] = value;
    return std::tie(a, b, c, d, e, f);
  } else if constexpr (count == 7) {
    auto& [a, b, c, d, e, f, g] = value;
    return std::tie(a, b, c, d, e, f, g);
  } else if constexpr (count == 8) {
    auto& [a, b, c, d, e, f, g, h] = value;
    return std::tie(a, b, c, d, e, f, g, h);
  } else {
    return std::tuple<>();
  }
}

template <class T, class = void>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<T, std::void_t<typename T::value_type, decltype(std::declval<T&>().has_value())>> : std::true_type {
};
template <class T, class = void>
struct is_map : std::false_type {};
template <class T>
struct is_map<T, std::void_t<typename T::mapped_type, typename T::const_iterator>> : std::true_type {};
template <class T>
struct is_sequence : std::false_type {};
template <class T, class Allocator>
struct is_sequence<std::vector<T, Allocator>> : std::negation<std::is_same<T, bool>> {};
template <class T, size_t count>
struct is_sequence<std::array<T, count>> : std::true_type {};
template <class T>
struct is_tuple : std::false_type {};
template <class... T>
struct is_tuple<std::tuple<T...>> : std::true_type {};
template <class A, class B>
struct is_tuple<std::pair<A, B>> : std::true_type {};
template <class T>
constexpr bool is_record = std::is_aggregate_v<T>&& std::is_class_v<T> && !std::is_empty_v<T> && !is_sequence<T>::value;

template <class T>
constexpr bool holds_tensors();

template <class Tuple, size_t... index>
constexpr bool any_holds_tensors(std::index_sequence<index...> /*indices*/) {
  return (holds_tensors<std::decay_t<std::tuple_element_t<index, Tuple>>>() || ...);
}

/// Whether a value of this type may hold tensors.
template <class T>
constexpr bool holds_tensors() {
  using torch::nn::utils::rnn::PackedSequence;
  if constexpr (std::is_void_v<T>) {
    return false;
  } else if constexpr (std::is_same_v<T, at::Tensor> || std::is_same_v<T, PackedSequence>) {
    return true;
  } else if constexpr (is_map<T>::value) {
    return holds_tensors<typename T::mapped_type>();
  } else if constexpr (is_optional<T>::value || is_sequence<T>::value) {
    return holds_tensors<std::decay_t<typename T::value_type>>();
  } else if constexpr (is_tuple<T>::value) {
    return any_holds_tensors<T>(std::make_index_sequence<std::tuple_size_v<T>>());
  } else if constexpr (is_record<T>) {
    using Fields = decltype(fields(std::declval<T&>()));
    return any_holds_tensors<Fields>(std::make_index_sequence<std::tuple_size_v<Fields>>());
  } else {
    return false;
  }
}

/// Calls `visit(tensor)` for each tensor in `value`, undefined ones too; a sequence's tensor is a copy of the handle.
template <class T, class Visit>
void visit_tensors(T& value, Visit& visit) {
  using Value = std::remove_const_t<T>;
  if constexpr (!holds_tensors<Value>()) {
    static_cast<void>(value);
  } else if constexpr (std::is_same_v<Value, at::Tensor>) {
    visit(value);
  } else if constexpr (std::is_same_v<Value, torch::nn::utils::rnn::PackedSequence>) {
    at::Tensor data = value.data();  // NOLINT(performance-unnecessary-copy-initialization): `visit` may write
    visit(data);
  } else if constexpr (is_map<Value>::value) {
    for (auto& item : value) visit_tensors(item.second, visit);
  } else if constexpr (is_optional<Value>::value) {
    if (value.has_value()) visit_tensors(*value, visit);
  } else if constexpr (is_sequence<Value>::value) {
    for (auto& element : value) visit_tensors(element, visit);
  } else if constexpr (is_tuple<Value>::value) {
    std::apply([&](auto&... elements) { (visit_tensors(elements, visit), ...); }, value);
  } else {
    std::apply([&](auto&... elements) { (visit_tensors(elements, visit), ...); }, fields(value));
  }
}

/// Appends the tensors in `value`.
template <class T>
void flatten(const T& value, Tensors& into) {
  if constexpr (std::is_same_v<T, at::Tensor>) {
    into.push_back(value);
  } else {
    const auto add = [&](const at::Tensor& tensor) { into.push_back(tensor); };
    visit_tensors(value, add);
  }
}

/// Puts `tensors`, from number `first` on, in the places of those in `value`; returns the number after the last.
template <class T>
size_t refill(T& value, const Tensors& tensors, size_t first = 0) {
  auto put = [&](at::Tensor& tensor) {
    if (first < tensors.size() && !tensor.is_same(tensors[first])) tensor = tensors[first];
    ++first;
  };
  visit_tensors(value, put);
  return first;
}

}  // namespace sightglass::detail
