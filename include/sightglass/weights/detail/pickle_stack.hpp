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
  void begin() {
    stack_.clear();
    marks_.clear();
    memo_.clear();
  }

  template <class T>
  Pickled& push(T value) {
    TORCH_CHECK(values_.size() < most_values, "its pickle holds more than ", most_values,
                " values; save the state dict alone");
    values_.push_back(Pickled{std::move(value)});
    stack_.push_back(&values_.back());
    return values_.back();
  }

  Pickled& top() const {
    TORCH_CHECK(stack_.size() > floor(), "is damaged: its pickle takes what it never gave");
    return *stack_.back();
  }
  Pickled& pop() {
    Pickled& last = top();
    stack_.pop_back();
    return last;
  }
  Items pop_last(size_t count) {
    TORCH_CHECK(stack_.size() >= floor() + count, "is damaged: its pickle takes what it never gave");
    Items items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  void mark() { marks_.push_back(stack_.size()); }
  /// All since the last mark.
  Items pop_marked() {
    TORCH_CHECK(!marks_.empty(), "is damaged: its pickle ends what it never began");
    Items items = pop_last(stack_.size() - marks_.back());
    marks_.pop_back();
    return items;
  }

  /// Keeps the top under `key`; without one, under the number of those kept.
  void remember(uint64_t key) { memo_[key] = &top(); }
  void remember() { remember(memo_.size()); }
  void recall(uint64_t key) {
    const auto found = memo_.find(key);
    TORCH_CHECK(found != memo_.end(), "is damaged: its pickle recalls what it never kept");
    stack_.push_back(found->second);
  }

 private:
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  std::deque<Pickled> values_;
  Items stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, Pickled*> memo_;
};

}  // namespace sightglass::detail
