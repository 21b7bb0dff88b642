#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "sightglass/trace/tensors.hpp"

/// The most recent operations of a thread, so that a layer that is recognised at its second or tenth operation can
/// still be told what went into its first one.
namespace sightglass::detail {

/// A tensor as it was when an operation read or made it. Nothing is kept alive, unless asked for.
class TensorRef {
 public:
  explicit TensorRef(const at::Tensor& tensor)
      : weak_(tensor.getIntrusivePtr()), impl_(tensor.unsafeGetTensorImpl()), version_(version_of(tensor)) {}

  /// Identity only; the object may be gone.
  const void* impl() const { return impl_; }

  void keep_alive() {
    if (!strong_.defined()) strong_ = lock();
  }
  /// Copies the values that are about to be written.
  void save() { saved_ = lock().clone(); }
  void let_go() {
    strong_.reset();
    saved_.reset();
  }

  /// The tensor; undefined when it is gone.
  at::Tensor lock() const {
    if (strong_.defined()) return strong_;
    auto pointer = weak_.lock();
    return pointer ? at::Tensor(std::move(pointer)) : at::Tensor();
  }

  /// The tensor with the values that it had then; undefined when it is gone or was written in place since.
  at::Tensor unchanged() const {
    if (saved_.defined()) return saved_;
    at::Tensor tensor = lock();
    return tensor.defined() && version_of(tensor) == version_ ? tensor : at::Tensor();
  }

 private:
  c10::weak_intrusive_ptr<c10::TensorImpl, c10::UndefinedTensorImpl> weak_;
  const void* impl_;
  uint32_t version_;
  at::Tensor strong_;
  at::Tensor saved_;
};

/// One operation that passed. An operation is known by its schema's address, which lives as long as the operation.
struct Event {
  const c10::FunctionSchema* schema = nullptr;
  std::vector<TensorRef> arguments;
  std::vector<TensorRef> results;

  void let_go() {
    for (TensorRef& argument : arguments) argument.let_go();
  }
  void clear() {
    arguments.clear();
    results.clear();
  }
};

/// The last `capacity` events; each has a number that counts from the first.
class History {
 public:
  static constexpr uint64_t capacity = 256;

  Event& begin(const c10::FunctionSchema* schema) {
    Event& event = ring_[count_++ % capacity];
    event.clear();
    event.schema = schema;
    return event;
  }

  uint64_t count() const { return count_; }
  uint64_t latest() const { return count_ - 1; }
  bool holds(uint64_t number) const { return number < count_ && number + capacity >= count_; }
  const Event& operator[](uint64_t number) const { return ring_[number % capacity]; }
  Event& operator[](uint64_t number) { return ring_[number % capacity]; }

  /// Forgets all; the room for it is kept, as it is needed again.
  void clear() {
    for (Event& event : ring_) event.clear();
    count_ = 0;
  }

 private:
  std::array<Event, capacity> ring_;
  uint64_t count_ = 0;
};

}  // namespace sightglass::detail
