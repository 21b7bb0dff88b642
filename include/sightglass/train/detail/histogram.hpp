#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace sightglass::detail {

/// The bin of each value; `bins` for those outside of [low, high] and for NaN. There is no branch: which way the next
/// value goes cannot be predicted, and a wrong guess costs more than all else.
void find_bins(const float* values, int64_t size, int64_t bins, float low, float high, int32_t* bin);

/// Counts of `size` values; the last count is of those outside of [low, high] and of NaN. Four tables in turn, since
/// neighbours often fall into one bin and would wait for each other.
void count_bins(const float* values, int64_t size, int64_t bins, float low, float high, std::vector<int64_t>& counts);

/// `torch::histc` of floats, on their device; several times as fast on the CPU.
at::Tensor histogram(const at::Tensor& values, int64_t bins, double low, double high);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/detail/histogram_inl.hpp"
#endif
