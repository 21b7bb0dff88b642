#pragma once

#include <ATen/ATen.h>

#include <vector>

/// Sums over channels and over places, which most methods are made of.
namespace sightglass::detail {

/// The dtype in which maps are computed.
at::ScalarType map_dtype(const at::Tensor& tensor);

/// Throws unless `activations` is `[N, C, *S]`, and `gradients` the same where it is given.
void check_activations(const at::Tensor& activations);
void check_pair(const at::Tensor& activations, const at::Tensor& gradients);

/// `[N, *S]` for activations `[N, C, *S]`.
std::vector<int64_t> map_shape(const at::Tensor& activations);

/// `[N, C]` as `[N, C, 1, ...]`, to be multiplied with `[N, C, *S]`.
at::Tensor over_places(const at::Tensor& per_channel, const at::Tensor& activations);

/// `weights[n, k] * activations[n, k, s]`: `[N, C]` and `[N, C, *S]` give `[N, C, *S]`, what `weigh` sums.
at::Tensor weighted(const at::Tensor& weights, const at::Tensor& activations);

/// `[N]` as `[N, 1, ...]`, to be multiplied with what has `dims` dimensions.
at::Tensor over_each(const at::Tensor& per_image, int64_t dims);

/// `sum_k weights[n, k] * activations[n, k, s]`: `[N, C]` and `[N, C, *S]` give `[N, *S]`.
at::Tensor weigh(const at::Tensor& weights, const at::Tensor& activations);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/detail/weigh_inl.hpp"
#endif
