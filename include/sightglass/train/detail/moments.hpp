#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

/// Statistics of one tensor in as few passes as there can be, left on its device.
namespace sightglass::detail {

/// Which values are counted, a channel at a time.
enum class Counted { at_most, equal };

/// The moments of values seen in pieces; pieces are merged exactly (Chan, Golub, LeVeque 1979).
struct Moments {
  double count = 0;
  double mean = 0;
  double squares = 0;  ///< sum of squared differences from the mean

  void merge(const Moments& other);
};

/// The moments of a piece that lies in the first-level cache, and how many of its values are counted; written so that
/// compilers make vector instructions of it.
template <Counted which>
int64_t look_at_piece(const float* values, int64_t size, float limit, Moments& into) {
  constexpr int64_t lanes = 16;
  std::array<float, lanes> sums{};
  std::array<int32_t, lanes> counts{};
  const int64_t whole = size - size % lanes;
  const auto counted = [limit](float x) { return which == Counted::at_most ? x <= limit : x == limit; };
  for (int64_t i = 0; i < whole; i += lanes) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const float x = values[i + lane];
      sums[static_cast<size_t>(lane)] += x;
      counts[static_cast<size_t>(lane)] += counted(x) ? 1 : 0;
    }
  }
  double sum = 0;
  int64_t count = 0;
  for (const float lane : sums) sum += lane;
  for (const int32_t lane : counts) count += lane;
  for (int64_t i = whole; i < size; ++i) {
    sum += values[i];
    count += counted(values[i]) ? 1 : 0;
  }
  const double mean = sum / static_cast<double>(size);
  const auto centre = static_cast<float>(mean);
  std::array<float, lanes> squares{};
  for (int64_t i = 0; i < whole; i += lanes) {
    for (int64_t lane = 0; lane < lanes; ++lane) {
      const float difference = values[i + lane] - centre;
      squares[static_cast<size_t>(lane)] += difference * difference;
    }
  }
  double square = 0;
  for (const float lane : squares) square += lane;
  for (int64_t i = whole; i < size; ++i) {
    const double difference = values[i] - centre;
    square += difference * difference;
  }
  into.merge({static_cast<double>(size), mean, square});
  return count;
}

/// `values` seen as `[outer, channels, inner]`.
struct Blocks {
  int64_t outer = 1;
  int64_t channels = 1;
  int64_t inner = 1;
};

Blocks blocks_of(const at::Tensor& values, int64_t channel_dim);

/// One thread's share of a contiguous tensor: rows of `channels * inner` values.
template <Counted which>
void look_at_rows(const float* values, const Blocks& blocks, int64_t begin, int64_t end, float limit, Moments& moments,
                  std::vector<int64_t>& counts) {
  constexpr int64_t piece = 2048;
  const int64_t row_size = blocks.channels * blocks.inner;
  for (int64_t row = begin; row < end; ++row) {
    const float* const start = values + row * row_size;
    if (blocks.inner == 1) {
      for (int64_t at = 0; at < row_size; at += piece) {
        look_at_piece<which>(start + at, std::min(piece, row_size - at), limit, moments);
      }
      for (int64_t c = 0; c < blocks.channels; ++c) {
        counts[static_cast<size_t>(c)] += (which == Counted::at_most ? start[c] <= limit : start[c] == limit) ? 1 : 0;
      }
      continue;
    }
    for (int64_t c = 0; c < blocks.channels; ++c) {
      const float* const plane = start + c * blocks.inner;
      for (int64_t at = 0; at < blocks.inner; at += piece) {
        counts[static_cast<size_t>(c)] +=
            look_at_piece<which>(plane + at, std::min(piece, blocks.inner - at), limit, moments);
      }
    }
  }
}

/// `[mean, unbiased standard deviation, norm, share counted, counted of each channel...]`, on the CPU.
template <Counted which>
at::Tensor statistics_on_cpu(const at::Tensor& values, const Blocks& blocks, float limit) {
  const auto threads = static_cast<size_t>(std::max(1, at::get_num_threads()));
  const auto channels = static_cast<size_t>(blocks.channels);
  std::vector<Moments> moments(threads);
  std::vector<std::vector<int64_t>> counts(threads, std::vector<int64_t>(channels, 0));
  const float* const data = values.data_ptr<float>();
  const int64_t grain = std::max<int64_t>(1, 32768 / std::max<int64_t>(1, blocks.channels * blocks.inner));
  at::parallel_for(0, blocks.outer, grain, [&](int64_t begin, int64_t end) {
    const auto thread = static_cast<size_t>(at::get_thread_num());
    look_at_rows<which>(data, blocks, begin, end, limit, moments[thread], counts[thread]);
  });
  at::Tensor result = at::zeros({4 + blocks.channels}, at::kFloat);
  float* const out = result.data_ptr<float>();
  Moments all;
  for (const Moments& part : moments) all.merge(part);
  int64_t counted = 0;
  for (size_t c = 0; c < channels; ++c) {
    int64_t of_channel = 0;
    for (const auto& part : counts) of_channel += part[c];
    counted += of_channel;
    out[4 + c] = static_cast<float>(of_channel);
  }
  out[0] = static_cast<float>(all.mean);
  out[1] = static_cast<float>(std::sqrt(all.squares / (all.count - 1)));
  out[2] = static_cast<float>(std::sqrt(all.squares + all.count * all.mean * all.mean));
  out[3] = static_cast<float>(static_cast<double>(counted) / all.count);
  return result;
}

/// The same by tensor operations, on any device and in any layout.
at::Tensor statistics_by_operations(const at::Tensor& values, const Blocks& blocks, Counted which, float limit);

/// `[mean, unbiased standard deviation, norm, share counted, counted of each channel...]` of floats, on their device.
/// `channel_dim`: whose elements are told apart, for tensors of two dimensions and more.
at::Tensor statistics(const at::Tensor& values, int64_t channel_dim, Counted which, float limit);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/detail/moments_inl.hpp"
#endif
