#pragma once

#include "sightglass/exported/detail/json.hpp"

#include <limits>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// The text with quotes around the numbers that JSON does not have.
inline std::string quote_numbers(const std::string& text) {
  std::string quoted;
  bool in_text = false;
  for (size_t i = 0; i < text.size();) {
    size_t length = 1;
    for (const std::string number : {"-Infinity", "Infinity", "NaN"}) {
      if (!in_text && text.compare(i, number.size(), number) == 0) length = number.size();
    }
    const bool is_number = length > 1;
    if (in_text && text[i] == '\\') length = 2;
    if (text[i] == '"') in_text = !in_text;
    const std::string part = text.substr(i, length);
    quoted += is_number ? '"' + part + '"' : part;
    i += length;
  }
  return quoted;
}

SIGHTGLASS_INLINE Json parse_json(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json::parse(quote_numbers(text)) : json;
}

SIGHTGLASS_INLINE std::pair<std::string, const Json&> member_of(const Json& of_several) {
  TORCH_CHECK(of_several.is_object(), "is damaged: its program has ", of_several.type_name(),
              " where one of several things is expected, such as {\"as_int\": 3}");
  for (const auto& [name, value] : of_several.items()) {
    if (of_several.size() == 1 || !value.is_null()) return {name, value};
  }
  C10_THROW_ERROR(Error, "is damaged: its program has {} where one of several things is expected");
}

SIGHTGLASS_INLINE const Json* find(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

SIGHTGLASS_INLINE double float_of(const Json& number) {
  if (!number.is_string()) return number.get<double>();
  const auto& text = number.get_ref<const std::string&>();
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (text == "Infinity") return infinity;
  if (text == "-Infinity") return -infinity;
  TORCH_CHECK(text == "NaN", "is damaged: its program has \"", text, "\" for a number");
  return std::numeric_limits<double>::quiet_NaN();
}

SIGHTGLASS_INLINE int64_t whole_of(const Json& size) {
  const Json* const number = find(size, "as_int");
  return number == nullptr ? -1 : number->get<int64_t>();
}

SIGHTGLASS_INLINE int64_t example_of(const Json& size) {
  const Json* const expression = find(size, "as_expr");
  const Json* const example = expression == nullptr ? nullptr : find(*expression, "hint");
  return whole_of(example == nullptr ? size : *example);
}

inline void add_names(const Json& part, std::vector<std::string>& names, int depth) {
  TORCH_CHECK(depth < 16, "is damaged: an argument of its program has more levels than any operation takes");
  if (part.is_array()) {
    for (const Json& item : part) add_names(item, names, depth + 1);
  } else if (part.is_object()) {
    for (const auto& [key, value] : part.items()) {
      if (key == "as_graph" || key == "as_string") continue;
      if ((key == "name" || key == "as_name") && value.is_string())
        names.push_back(value.get<std::string>());
      else
        add_names(value, names, depth + 1);
    }
  }
}

SIGHTGLASS_INLINE std::vector<std::string> names_in(const Json& argument) {
  std::vector<std::string> names;
  add_names(argument, names, 0);
  return names;
}

}  // namespace sightglass::detail
