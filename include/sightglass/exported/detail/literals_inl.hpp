#pragma once

#include "sightglass/exported/detail/literals.hpp"

#include <array>
#include <vector>

#include "sightglass/exported/detail/program_archive.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

template <class T, class Read>
c10::List<T> list_of(const Json& items, const Read& read) {
  c10::List<T> made;
  for (const Json& item : items) made.push_back(read(item));
  return made;
}

/// A list of lists.
template <class T, class Read>
c10::IValue lists_of(const Json& items, const c10::TypePtr& element, const Read& read) {
  c10::impl::GenericList made(c10::ListType::create(element));
  for (const Json& item : items) made.push_back(c10::IValue(list_of<T>(item, read)));
  return made;
}

inline int64_t memory_format_of(int64_t number) {
  constexpr std::array<c10::MemoryFormat, 5> formats{c10::MemoryFormat::Preserve, c10::MemoryFormat::Contiguous,
                                                     c10::MemoryFormat::ChannelsLast, c10::MemoryFormat::ChannelsLast3d,
                                                     c10::MemoryFormat::Preserve};
  TORCH_CHECK(number > 0 && number < static_cast<int64_t>(formats.size()), "is damaged: there is no memory format ",
              number);
  return static_cast<int64_t>(formats.at(static_cast<size_t>(number)));
}

inline int64_t layout_of(int64_t number) {
  TORCH_CHECK(number == 7, "makes a tensor that is not strided (sparse, or of MKL-DNN), which is not supported");
  return static_cast<int64_t>(c10::Layout::Strided);
}

SIGHTGLASS_INLINE c10::IValue literal(const std::string& kind, const Json& held, const c10::TypePtr& type) {
  const auto whole = [](const Json& item) { return item.get<int64_t>(); };
  const auto truth = [](const Json& item) { return item.get<bool>(); };
  c10::TypePtr taken = type;
  if (const auto optional = taken->cast<c10::OptionalType>()) taken = optional->getElementType();
  const auto list = taken->cast<c10::ListType>();
  const bool fractions = list != nullptr && list->getElementType()->kind() == c10::TypeKind::FloatType;
  if (kind == "as_none") return c10::IValue();
  if (kind == "as_bool") return held.get<bool>();
  if (kind == "as_string") return held.get<std::string>();
  if (kind == "as_int") {
    if (taken->kind() == c10::TypeKind::FloatType) return static_cast<double>(held.get<int64_t>());
    if (list != nullptr) return c10::List<int64_t>({held.get<int64_t>()});
    return held.get<int64_t>();
  }
  if (kind == "as_float") return float_of(held);
  if (kind == "as_complex") return c10::complex<double>(float_of(held.at("real")), float_of(held.at("imag")));
  if (kind == "as_ints" && !fractions) return list_of<int64_t>(held, whole);
  if (kind == "as_floats" || kind == "as_ints") return list_of<double>(held, float_of);
  if (kind == "as_bools") return list_of<bool>(held, truth);
  if (kind == "as_strings") return list_of<std::string>(held, [](const Json& item) { return item.get<std::string>(); });
  if (kind == "as_int_lists") return lists_of<int64_t>(held, c10::IntType::get(), whole);
  if (kind == "as_float_lists") return lists_of<double>(held, c10::FloatType::get(), float_of);
  if (kind == "as_scalar_type") return static_cast<int64_t>(scalar_type_of(held.get<int64_t>()));
  if (kind == "as_memory_format") return memory_format_of(held.get<int64_t>());
  if (kind == "as_layout") return layout_of(held.get<int64_t>());
  C10_THROW_ERROR(Error, c10::str("takes an argument of a kind that is not read (", kind, ")"));
}

}  // namespace sightglass::detail
