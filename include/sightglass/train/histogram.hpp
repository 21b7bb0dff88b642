#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace sightglass::detail {

/// Counts of `size` values; the last count is of those outside of [low, high] and of NaN. Four tables in turn, since
/// neighbours often fall into one bin and would wait for each other.
inline void count_bins(const float* values, int64_t size, int64_t bins, float low, float high,
                       std::vector<int64_t>& counts) {
  constexpr int64_t piece = 1024;
  constexpr size_t tables = 4;
  const auto bins_of_table = static_cast<size_t>(bins + 1);
  std::vector<int32_t> table(tables * bins_of_table, 0);
  std::array<int32_t, piece> bin;
  const auto last = static_cast<int32_t>(bins - 1);
  const auto outside = static_cast<int32_t>(bins);
  const auto scale = static_cast<float>(bins);
  for (int64_t start = 0; start < size; start += piece) {
    const int64_t length = std::min(piece, size - start);
    for (int64_t i = 0; i < length; ++i) {
      const float x = values[start + i];
      const bool inside = x >= low && x <= high;
      const auto at = static_cast<int32_t>(((inside ? x : low) - low) * scale / (high - low));
      bin[static_cast<size_t>(i)] = inside ? std::min(at, last) : outside;
    }
    for (int64_t i = 0; i < length; ++i) {
      const auto in_table = static_cast<size_t>(bin[static_cast<size_t>(i)]);
      ++table[static_cast<size_t>(i) % tables * bins_of_table + in_table];
    }
  }
  for (size_t i = 0; i < table.size(); ++i) counts[i % bins_of_table] += table[i];
}

/// `torch::histc` of floats, on their device; several times as fast on the CPU.
inline at::Tensor histogram(const at::Tensor& values, int64_t bins, double low, double high) {
  if (!values.is_cpu() || !values.is_contiguous()) return values.histc(bins, low, high);
  const auto threads = static_cast<size_t>(std::max(1, at::get_num_threads()));
  std::vector<std::vector<int64_t>> counts(threads, std::vector<int64_t>(static_cast<size_t>(bins + 1), 0));
  const float* const data = values.data_ptr<float>();
  at::parallel_for(0, values.numel(), 65536, [&](int64_t begin, int64_t end) {
    count_bins(data + begin, end - begin, bins, static_cast<float>(low), static_cast<float>(high),
               counts[static_cast<size_t>(at::get_thread_num())]);
  });
  at::Tensor result = at::zeros({bins}, at::kFloat);
  float* const out = result.data_ptr<float>();
  for (int64_t bin = 0; bin < bins; ++bin) {
    int64_t count = 0;
    for (const auto& part : counts) count += part[static_cast<size_t>(bin)];
    out[bin] = static_cast<float>(count);
  }
  return result;
}

}  // namespace sightglass::detail
