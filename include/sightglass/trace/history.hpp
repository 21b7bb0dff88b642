#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/intrusive_ptr.h>

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/tensors.hpp"

/// The most recent operations of a thread, so that a layer that is recognised at its second or tenth operation can
/// still be told what went into its first one.
namespace sightglass::detail {

/// A tensor as it was when an operation read or made it. Nothing is kept alive, unless asked for.
class TensorRef {
 public:
  explicit TensorRef(const at::Tensor& tensor);

  /// Identity only; the object may be gone.
  const void* impl() const { return impl_; }
  /// True where `other` is the same tensor, not written in between.
  bool is_same(const TensorRef& other) const { return impl_ == other.impl_ && version_ == other.version_; }

  void keep_alive();
  /// Copies the values that are about to be written.
  void save();
  void let_go();

  /// The tensor; undefined when it is gone.
  at::Tensor lock() const;

  /// The tensor with the values that it had then; undefined when it is gone or was written in place since.
  at::Tensor unchanged() const;

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
  std::vector<const void*> given;    ///< its tensor arguments, by identity: always there
  std::vector<TensorRef> arguments;  ///< the same tensors; only while somebody wants the history
  std::vector<TensorRef> results;

  /// Notes the next tensor argument, the tensor too.
  void give(const at::Tensor& tensor);
  void let_go();
  void clear();
};

/// The last `Limits::history` events; each has a number that counts from the first.
class History {
 public:
  Event& begin(const c10::FunctionSchema* schema);

  uint64_t count() const { return count_; }
  uint64_t latest() const { return count_ - 1; }
  bool holds(uint64_t number) const { return number < count_ && number + Limits::history >= count_; }
  const Event& operator[](uint64_t number) const { return ring_[number % Limits::history]; }
  Event& operator[](uint64_t number) { return ring_[number % Limits::history]; }

  /// Result `index` of event `number` as the operation left it; undefined when it is gone, or was written since and no
  /// later operation saved it before.
  at::Tensor made(uint64_t number, size_t index) const;

  /// Forgets all; the room for it is kept, as it is needed again.
  void clear();

 private:
  std::array<Event, Limits::history> ring_;
  uint64_t count_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/history_inl.hpp"
#endif
