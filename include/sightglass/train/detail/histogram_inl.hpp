#pragma once

#include "sightglass/train/detail/histogram.hpp"

#include <ATen/Parallel.h>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void find_bins(const float* values, int64_t size, int64_t bins, float low, float high, int32_t* bin) {
  const auto scale = static_cast<float>(bins);
  const auto last = static_cast<float>(bins - 1);
  const auto outside = static_cast<int32_t>(bins);
  for (int64_t i = 0; i < size; ++i) {
    const float x = values[i];
    const float place = (x - low) * scale / (high - low);
    const auto at = static_cast<int32_t>(std::min(last, std::max(0.0F, place)));
    const int32_t inside = static_cast<int32_t>(x >= low) & static_cast<int32_t>(x <= high);
    bin[i] = (at & -inside) | (outside & (inside - 1));
  }
}

SIGHTGLASS_INLINE void count_bins(const float* values, int64_t size, int64_t bins, float low, float high,
                                  std::vector<int64_t>& counts) {
  constexpr int64_t piece = 1024;
  constexpr size_t tables = 4;
  const auto bins_of_table = static_cast<size_t>(bins + 1);
  std::vector<int32_t> table(tables * bins_of_table, 0);
  std::array<int32_t, piece> bin;
  for (int64_t start = 0; start < size; start += piece) {
    const int64_t length = std::min(piece, size - start);
    find_bins(values + start, length, bins, low, high, bin.data());
    for (int64_t i = 0; i < length; ++i) {
      const auto in_table = static_cast<size_t>(bin[static_cast<size_t>(i)]);
      ++table[static_cast<size_t>(i) % tables * bins_of_table + in_table];
    }
  }
  for (size_t i = 0; i < table.size(); ++i) counts[i % bins_of_table] += table[i];
}

SIGHTGLASS_INLINE at::Tensor histogram(const at::Tensor& values, int64_t bins, double low, double high) {
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
