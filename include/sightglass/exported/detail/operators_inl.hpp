#pragma once

#include "sightglass/exported/detail/operators.hpp"

#include <ATen/core/dispatch/Dispatcher.h>

#include <map>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::optional<OperatorName> operator_name(const std::string& target) {
  const std::string before = "torch.ops.";
  if (target.rfind(before, 0) != 0) return std::nullopt;
  const size_t library = target.find('.', before.size()), overload = target.rfind('.');
  if (library == std::string::npos || overload <= library) return std::nullopt;
  const std::string name = target.substr(library + 1, overload - library - 1);
  const std::string called = target.substr(overload + 1);
  return OperatorName{target.substr(before.size(), library - before.size()) + "::" + name,
                      called == "default" ? "" : called};
}

SIGHTGLASS_INLINE const c10::FunctionSchema* find_schema(const OperatorName& name) {
  const auto found = c10::Dispatcher::singleton().findSchema({name.name, name.overload});
  return found ? &found->schema() : nullptr;
}

SIGHTGLASS_INLINE const c10::FunctionSchema* with_number(const c10::FunctionSchema& schema, size_t argument) {
  std::string overload = schema.overload_name();
  const std::string tensor = "Tensor";
  const size_t at = overload.rfind(tensor);
  if (at == std::string::npos) return nullptr;
  const c10::FunctionSchema* const other = find_schema({schema.name(), overload.replace(at, tensor.size(), "Scalar")});
  const bool fits = other != nullptr && argument < other->arguments().size() &&
                    other->arguments()[argument].name() == schema.arguments()[argument].name() &&
                    other->arguments()[argument].type()->isSubtypeOf(*c10::NumberType::get());
  return fits ? other : nullptr;
}

SIGHTGLASS_INLINE const char* arithmetic(const std::string& target) {
  static const std::map<std::string, const char*> known{{"_operator.add", "aten::add"},
                                                        {"_operator.sub", "aten::sub"},
                                                        {"_operator.mul", "aten::mul"},
                                                        {"_operator.floordiv", "aten::floordiv"},
                                                        {"_operator.truediv", "aten::div"},
                                                        {"_operator.mod", "aten::remainder"},
                                                        {"_operator.neg", "aten::neg"},
                                                        {"_operator.eq", "aten::eq"},
                                                        {"_operator.ne", "aten::ne"},
                                                        {"_operator.lt", "aten::lt"},
                                                        {"_operator.le", "aten::le"},
                                                        {"_operator.gt", "aten::gt"},
                                                        {"_operator.ge", "aten::ge"},
                                                        {"_operator.and_", "aten::__and__"},
                                                        {"_operator.or_", "aten::__or__"},
                                                        {"_operator.lshift", "aten::__lshift__"},
                                                        {"_operator.rshift", "aten::__rshift__"},
                                                        {"_operator.pow", "aten::pow"},
                                                        {"torch.sym_not", "aten::__not__"},
                                                        {"torch.sym_max", "prim::max"},
                                                        {"torch.sym_min", "prim::min"},
                                                        {"torch.sym_int", "aten::Int"},
                                                        {"torch.sym_float", "aten::Float"},
                                                        {"math.trunc", "aten::Int"},
                                                        {"math.floor", "aten::floor"},
                                                        {"math.ceil", "aten::ceil"},
                                                        {"torch.sym_sqrt", "aten::sqrt"},
                                                        {"torch._sym_sqrt", "aten::sqrt"},
                                                        {"math.sqrt", "aten::sqrt"}};
  const auto found = known.find(target);
  return found == known.end() ? nullptr : found->second;
}

SIGHTGLASS_INLINE bool only_states(const OperatorName& name) {
  return name.name == "aten::_assert_tensor_metadata" || name.name == "aten::sym_constrain_range" ||
         name.name == "aten::sym_constrain_range_for_size" || name.name == "aten::_functional_sym_constrain_range";
}

}  // namespace sightglass::detail
