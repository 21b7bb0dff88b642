#pragma once

#include "sightglass/trace/tensors.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool has_tensors(const c10::IValue& value) {
  bool has = false;
  for_each_tensor(value, [&](const at::Tensor&) { has = true; });
  return has;
}

SIGHTGLASS_INLINE c10::ArrayRef<c10::IValue> arguments(const OperatorHandle& op, const Stack& stack) {
  const size_t count = op.schema().arguments().size();
  return c10::ArrayRef<c10::IValue>(stack.data() + (stack.size() - count), count);
}

SIGHTGLASS_INLINE const c10::IValue* argument_called(const std::string& name, const OperatorHandle& op,
                                                     const Stack& stack) {
  const auto index = op.schema().argumentIndexWithName(name);
  return index ? &arguments(op, stack)[static_cast<size_t>(*index)] : nullptr;
}

SIGHTGLASS_INLINE c10::ArrayRef<c10::IValue> results(const OperatorHandle& op, const Stack& stack) {
  const size_t count = op.schema().returns().size();
  return c10::ArrayRef<c10::IValue>(stack.data() + (stack.size() - count), count);
}

SIGHTGLASS_INLINE std::vector<at::Tensor> flat_tensors(c10::ArrayRef<c10::IValue> values) {
  std::vector<at::Tensor> tensors;
  for (const c10::IValue& value : values) {
    for_each_tensor(value, [&](const at::Tensor& tensor) { tensors.push_back(tensor); });
  }
  return tensors;
}

SIGHTGLASS_INLINE bool writes(const c10::Argument& argument) {
  return argument.alias_info() != nullptr && argument.alias_info()->isWrite();
}

SIGHTGLASS_INLINE uint32_t version_of(const at::Tensor& tensor) {
  return tensor.is_inference() ? 0 : tensor.unsafeGetTensorImpl()->version_counter().current_version();
}

SIGHTGLASS_INLINE at::Tensor moved_to(c10::Device device, const at::Tensor& tensor) {
  return tensor.to(device, tensor.scalar_type(), /*non_blocking=*/device.is_cuda());
}

SIGHTGLASS_INLINE const void* storage_of(const at::Tensor& tensor) {
  return tensor.has_storage() ? tensor.storage().unsafeGetStorageImpl() : nullptr;
}

}  // namespace sightglass::detail
