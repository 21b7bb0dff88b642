#pragma once

#include "sightglass/weights/detail/pickle_stack.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void PickleStack::begin() {
  stack_.clear();
  marks_.clear();
  memo_.clear();
}

SIGHTGLASS_INLINE Pickled& PickleStack::top() const {
  TORCH_CHECK(stack_.size() > floor(), "is damaged: its pickle takes what it never gave");
  return *stack_.back();
}

SIGHTGLASS_INLINE Pickled& PickleStack::pop() {
  Pickled& last = top();
  stack_.pop_back();
  return last;
}

SIGHTGLASS_INLINE PickleStack::Items PickleStack::pop_last(size_t count) {
  TORCH_CHECK(stack_.size() >= floor() + count, "is damaged: its pickle takes what it never gave");
  Items items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
  stack_.resize(stack_.size() - count);
  return items;
}

SIGHTGLASS_INLINE void PickleStack::mark() { marks_.push_back(stack_.size()); }

SIGHTGLASS_INLINE PickleStack::Items PickleStack::pop_marked() {
  TORCH_CHECK(!marks_.empty(), "is damaged: its pickle ends what it never began");
  Items items = pop_last(stack_.size() - marks_.back());
  marks_.pop_back();
  return items;
}

SIGHTGLASS_INLINE void PickleStack::remember() { remember(memo_.size()); }

SIGHTGLASS_INLINE void PickleStack::recall(uint64_t key) {
  const auto found = memo_.find(key);
  TORCH_CHECK(found != memo_.end(), "is damaged: its pickle recalls what it never kept");
  stack_.push_back(found->second);
}

SIGHTGLASS_INLINE size_t PickleStack::floor() const { return marks_.empty() ? 0 : marks_.back(); }

}  // namespace sightglass::detail
