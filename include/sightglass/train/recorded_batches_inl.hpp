#pragma once

#include "sightglass/train/recorded_batches.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE RecordedBatches::RecordedBatches(int64_t every, std::function<bool()> is_training,
                                                   std::function<std::shared_ptr<void>()> watch)
    : every_(every), is_training_(std::move(is_training)), watch_(std::move(watch)) {
  TORCH_CHECK(every >= 1, "every: got ", every, "; 1 records each batch, 20 every twentieth");
}

SIGHTGLASS_INLINE bool RecordedBatches::begin() {
  drop();
  counted_ = is_training_();
  if (!counted_ || next_ % every_ != 0) return false;
  guards_ = watch_();
  return true;
}

SIGHTGLASS_INLINE bool RecordedBatches::end() {
  if (std::exchange(counted_, false)) ++next_;
  return drop();
}

SIGHTGLASS_INLINE bool RecordedBatches::drop() {
  counted_ = false;
  return std::exchange(guards_, nullptr) != nullptr;
}

SIGHTGLASS_INLINE void RecordedBatches::start_at(int64_t batch) {
  TORCH_CHECK(batch >= 0, "first_batch: got ", batch, "; expected the number of a batch, from 0");
  next_ = batch;
}

}  // namespace sightglass::detail
