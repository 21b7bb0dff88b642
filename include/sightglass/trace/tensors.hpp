#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/interceptor.hpp"

/// Tensors among the arguments and results of an operation, in order; those in lists, tuples and dictionaries one by
/// one.
namespace sightglass::detail {

/// Calls `visit(tensor)` for each defined tensor in `value`.
template <class Visit>
void for_each_tensor(const c10::IValue& value, Visit&& visit) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) visit(value.toTensor());
  } else if (value.isList()) {
    for (const c10::IValue& element : value.toListRef()) for_each_tensor(element, visit);
  } else if (value.isTuple()) {
    for (const c10::IValue& element : value.toTupleRef().elements()) for_each_tensor(element, visit);
  } else if (value.isGenericDict()) {
    for (const auto& entry : value.toGenericDict()) for_each_tensor(entry.value(), visit);
  }
}

bool has_tensors(const c10::IValue& value);

/// Replaces each defined tensor in `value` by `change(tensor)`.
template <class Change>
void change_tensors(c10::IValue& value, Change&& change) {
  if (value.isTensor()) {
    if (value.toTensor().defined()) value = c10::IValue(change(value.toTensor()));
  } else if (value.isList()) {
    if (!has_tensors(value)) return;
    c10::List<c10::IValue> list = value.toList().copy();
    for (size_t i = 0; i < list.size(); ++i) {
      c10::IValue element = list.get(i);
      change_tensors(element, change);
      list.set(i, std::move(element));
    }
    value = c10::IValue(list);
  } else if (value.isTuple()) {
    std::vector<c10::IValue> elements(value.toTupleRef().elements().begin(), value.toTupleRef().elements().end());
    for (c10::IValue& element : elements) change_tensors(element, change);
    value = c10::ivalue::Tuple::create(std::move(elements));
  } else if (value.isGenericDict() && has_tensors(value)) {
    c10::Dict<c10::IValue, c10::IValue> dict = value.toGenericDict().copy();
    for (const auto& entry : value.toGenericDict()) {
      c10::IValue element = entry.value();
      change_tensors(element, change);
      dict.insert_or_assign(entry.key(), std::move(element));
    }
    value = c10::IValue(dict);
  }
}

/// The arguments of `op` while they lie on the stack.
c10::ArrayRef<c10::IValue> arguments(const OperatorHandle& op, const Stack& stack);

/// The argument called `name` while they lie on the stack; null where the operation has none of this name.
const c10::IValue* argument_called(const std::string& name, const OperatorHandle& op, const Stack& stack);

/// The results of `op` once they lie on the stack.
c10::ArrayRef<c10::IValue> results(const OperatorHandle& op, const Stack& stack);

/// All defined tensors of several values, flat.
std::vector<at::Tensor> flat_tensors(c10::ArrayRef<c10::IValue> values);

/// True where the schema says that the operation writes this argument.
bool writes(const c10::Argument& argument);

/// Calls `visit(tensor)` for each tensor that the operation is said to write.
template <class Visit>
void for_each_written(const OperatorHandle& op, const Stack& stack, Visit&& visit) {
  const auto& declared = op.schema().arguments();
  const auto given = arguments(op, stack);
  for (size_t i = 0; i < given.size(); ++i) {
    if (writes(declared[i])) for_each_tensor(given[i], visit);
  }
}

/// How often a tensor has been written in place; 0 for inference tensors, which do not count.
uint32_t version_of(const at::Tensor& tensor);

/// `tensor` on `device`. Waits for nothing that a GPU still does: CUDA takes ordinary memory over before it returns.
at::Tensor moved_to(c10::Device device, const at::Tensor& tensor);

/// The memory a tensor looks at; null where it has none of its own (sparse tensors).
const void* storage_of(const at::Tensor& tensor);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/tensors_inl.hpp"
#endif
