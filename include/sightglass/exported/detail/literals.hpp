#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include <string>

#include "sightglass/exported/detail/json.hpp"

namespace sightglass::detail {

/// A constant argument, where an operation takes `type`: a whole number is made a fraction or a list where one of those
/// is taken, as Python does.
/// @param kind how the file calls it: `as_int`, `as_bools`, `as_scalar_type`
c10::IValue literal(const std::string& kind, const Json& held, const c10::TypePtr& type);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/literals_inl.hpp"
#endif
