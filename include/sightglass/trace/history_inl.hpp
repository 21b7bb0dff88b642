#pragma once

#include "sightglass/trace/history.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE TensorRef::TensorRef(const at::Tensor& tensor)
    : weak_(tensor.getIntrusivePtr()), impl_(tensor.unsafeGetTensorImpl()), version_(version_of(tensor)) {}

SIGHTGLASS_INLINE void TensorRef::keep_alive() {
  if (!strong_.defined()) strong_ = lock();
}

SIGHTGLASS_INLINE void TensorRef::save() { saved_ = lock().clone(); }

SIGHTGLASS_INLINE void TensorRef::let_go() {
  strong_.reset();
  saved_.reset();
}

SIGHTGLASS_INLINE at::Tensor TensorRef::lock() const {
  if (strong_.defined()) return strong_;
  auto pointer = weak_.lock();
  return pointer ? at::Tensor(std::move(pointer)) : at::Tensor();
}

SIGHTGLASS_INLINE at::Tensor TensorRef::unchanged() const {
  if (saved_.defined()) return saved_;
  at::Tensor tensor = lock();
  return tensor.defined() && version_of(tensor) == version_ ? tensor : at::Tensor();
}

SIGHTGLASS_INLINE void Event::give(const at::Tensor& tensor) {
  given.push_back(tensor.unsafeGetTensorImpl());
  arguments.emplace_back(tensor);
}

SIGHTGLASS_INLINE void Event::let_go() {
  for (TensorRef& argument : arguments) argument.let_go();
  for (TensorRef& result : results) result.let_go();
}

SIGHTGLASS_INLINE void Event::clear() {
  given.clear();
  arguments.clear();
  results.clear();
}

SIGHTGLASS_INLINE Event& History::begin(const c10::FunctionSchema* schema) {
  Event& event = ring_[count_++ % Limits::history];
  event.clear();
  event.schema = schema;
  return event;
}

SIGHTGLASS_INLINE at::Tensor History::made(uint64_t number, size_t index) const {
  const Event& event = (*this)[number];
  if (index >= event.results.size()) return {};
  const TensorRef& result = event.results[index];
  if (at::Tensor tensor = result.unchanged(); tensor.defined()) return tensor;
  for (uint64_t later = number + 1; later < count_; ++later) {
    for (const TensorRef& argument : (*this)[later].arguments) {
      if (!argument.is_same(result)) continue;
      if (at::Tensor tensor = argument.unchanged(); tensor.defined()) return tensor;
    }
  }
  return {};
}

SIGHTGLASS_INLINE void History::clear() {
  for (Event& event : ring_) event.clear();
  count_ = 0;
}

}  // namespace sightglass::detail
