#pragma once

#include "sightglass/weights/detail/pickled.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string Pickled::describe() const {
  static constexpr std::array<const char*, 11> names{
      "None", "a bool", "an int", "a float", "a str", "a list or tuple", "a dict", "", "", "a storage", "a tensor"};
  if (const auto* global = as<PickledGlobal>()) return "the Python object " + global->name;
  const auto* object = as<PickledObject>();
  if (object == nullptr) return names.at(value.index());
  const auto* of = object->of == nullptr ? nullptr : object->of->as<PickledGlobal>();
  return of == nullptr ? "a Python object" : "a Python object of " + of->name;
}

SIGHTGLASS_INLINE const std::vector<std::pair<std::string, c10::ScalarType>>& storage_types() {
  using c10::ScalarType;
  static const std::vector<std::pair<std::string, ScalarType>> types{
      {"torch.FloatStorage", ScalarType::Float},
      {"torch.DoubleStorage", ScalarType::Double},
      {"torch.HalfStorage", ScalarType::Half},
      {"torch.BFloat16Storage", ScalarType::BFloat16},
      {"torch.LongStorage", ScalarType::Long},
      {"torch.IntStorage", ScalarType::Int},
      {"torch.ShortStorage", ScalarType::Short},
      {"torch.CharStorage", ScalarType::Char},
      {"torch.ByteStorage", ScalarType::Byte},
      {"torch.BoolStorage", ScalarType::Bool},
      {"torch.ComplexFloatStorage", ScalarType::ComplexFloat},
      {"torch.ComplexDoubleStorage", ScalarType::ComplexDouble}};
  return types;
}

SIGHTGLASS_INLINE std::vector<int64_t> integers_of(const Pickled& tuple) {
  constexpr size_t most_dimensions = 64;
  const auto* const sequence = tuple.as<PickledSequence>();
  TORCH_CHECK(sequence != nullptr && sequence->items.size() <= most_dimensions, "is damaged: a tensor whose shape is ",
              tuple.describe());
  std::vector<int64_t> found;
  for (const Pickled* item : sequence->items) {
    TORCH_CHECK(item->as<int64_t>() != nullptr, "is damaged: a tensor with ", item->describe(), " in its shape");
    found.push_back(*item->as<int64_t>());
  }
  return found;
}

SIGHTGLASS_INLINE PickledTensor tensor_of(const std::vector<const Pickled*>& arguments) {
  TORCH_CHECK(arguments.size() >= 4, "is damaged: a tensor of ", arguments.size(), " arguments");
  const auto* const storage = arguments[0]->as<PickledStorage>();
  const auto* const offset = arguments[1]->as<int64_t>();
  TORCH_CHECK(storage != nullptr && offset != nullptr, "is damaged: a tensor without storage or offset");
  const auto* const metadata = arguments.size() > 6 ? arguments[6]->as<PickledDict>() : nullptr;
  TORCH_CHECK(metadata == nullptr || metadata->items.empty(),
              "has a tensor that is a conjugate or negative view; call resolve_conj() and resolve_neg() before saving");
  return {storage, *offset, integers_of(*arguments[2]), integers_of(*arguments[3])};
}

}  // namespace sightglass::detail
