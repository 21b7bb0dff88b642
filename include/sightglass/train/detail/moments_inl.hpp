#pragma once

#include "sightglass/train/detail/moments.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void Moments::merge(const Moments& other) {
  if (other.count == 0) return;
  const double total = count + other.count;
  const double difference = other.mean - mean;
  mean += difference * other.count / total;
  squares += other.squares + difference * difference * count * other.count / total;
  count = total;
}

SIGHTGLASS_INLINE Blocks blocks_of(const at::Tensor& values, int64_t channel_dim) {
  if (values.dim() < 2) return {1, 1, values.numel()};
  Blocks blocks{1, values.size(channel_dim), 1};
  for (int64_t i = 0; i < channel_dim; ++i) blocks.outer *= values.size(i);
  for (int64_t i = channel_dim + 1; i < values.dim(); ++i) blocks.inner *= values.size(i);
  return blocks;
}

SIGHTGLASS_INLINE at::Tensor statistics_by_operations(const at::Tensor& values, const Blocks& blocks, Counted which,
                                                      float limit) {
  const at::Tensor seen = values.reshape({blocks.outer, blocks.channels, blocks.inner});
  const at::Tensor counts =
      (which == Counted::at_most ? seen.le(limit) : seen.eq(limit)).sum(at::IntArrayRef({0, 2})).to(at::kFloat);
  const at::Tensor share = counts.sum() / static_cast<double>(values.numel());
  return at::cat({at::stack({values.mean(), values.std(), values.norm(), share}), counts});
}

SIGHTGLASS_INLINE at::Tensor statistics(const at::Tensor& values, int64_t channel_dim, Counted which, float limit) {
  const Blocks blocks = blocks_of(values, channel_dim);
  if (!values.is_cpu() || !values.is_contiguous() || values.numel() == 0) {
    return statistics_by_operations(values, blocks, which, limit);
  }
  return which == Counted::at_most ? statistics_on_cpu<Counted::at_most>(values, blocks, limit)
                                   : statistics_on_cpu<Counted::equal>(values, blocks, limit);
}

}  // namespace sightglass::detail
