#pragma once

#include <c10/util/Exception.h>

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// The JSON of exported programs, as `torch/_export/serde/schema.py` describes it. What a damaged file lacks,
/// `Json::at` names.
namespace sightglass::detail {

using Json = nlohmann::json;

/// Reads what Python's `json` wrote: JSON, or with `Infinity`, `-Infinity` and `NaN` among its numbers, as programs of
/// PyTorch 2.5 have it; those become text. Throws `nlohmann::json::exception`.
Json parse_json(const std::string& text);

/// The one member of a union: `{"as_int": 3}` is `as_int` and 3.
std::pair<std::string, const Json&> member_of(const Json& of_several);

/// The value under `key`; null where there is none.
const Json* find(const Json& object, const char* key);

/// A number that may be written as `Infinity`, `-Infinity` or `NaN` in quotes.
double float_of(const Json& number);

/// A whole number that `SymInt` tells, or a size; -1 where it is an expression.
int64_t whole_of(const Json& size);

/// The same, and of an expression what it was in the export's example; -1 where that is not told.
int64_t example_of(const Json& size);

/// The names of values in an argument, or in a list of outputs.
std::vector<std::string> names_in(const Json& argument);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/json_inl.hpp"
#endif
