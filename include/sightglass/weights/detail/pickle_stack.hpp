#pragma once

#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/weights/detail/pickled.hpp"

namespace sightglass::detail {

/// The stack, marks and memo of a pickle that is being read. Every taking is checked.
///
/// Owns all values: a file may nest its lists deeply or into themselves, so that no destructor may follow them.
class PickleStack {
 public:
  using Items = std::vector<Pickled*>;
  /// More than any state dict has; what a hostile file can make of a few bytes is bounded by it.
  static constexpr size_t most_values = 4'000'000;

  /// For the next pickle; values stay.
  void begin();

  template <class T>
  Pickled& push(T value) {
    TORCH_CHECK(values_.size() < most_values, "its pickle holds more than ", most_values,
                " values; save the state dict alone");
    values_.push_back(Pickled{std::move(value)});
    stack_.push_back(&values_.back());
    return values_.back();
  }

  Pickled& top() const;
  Pickled& pop();
  Items pop_last(size_t count);

  void mark();
  /// All since the last mark.
  Items pop_marked();

  /// Keeps the top under `key`; without one, under the number of those kept.
  void remember(uint64_t key) { memo_[key] = &top(); }
  void remember();
  void recall(uint64_t key);

 private:
  size_t floor() const;

  std::deque<Pickled> values_;
  Items stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Pickled*> memo_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/pickle_stack_inl.hpp"
#endif
