#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/explanation.hpp"

namespace sightglass {

namespace detail {

void check_same_maps(const at::Tensor& a, const at::Tensor& b);

/// Ranks of each row of `[N, P]`, from 0; equal values share the mean of their ranks.
at::Tensor ranks(const at::Tensor& values);

}  // namespace detail

/// `[N]`, float64: Pearson's correlation of the places of two maps `[N, *S]`; 0 where a map is constant.
at::Tensor correlation(const at::Tensor& a, const at::Tensor& b);

/// `[N]`, float64: Spearman's rank correlation of two maps `[N, *S]`; equal values share their mean rank. 0 where a map
/// is constant.
at::Tensor rank_correlation(const at::Tensor& a, const at::Tensor& b);

/// `[N]`, float64: structural similarity of two maps `[N, h, w]` with values in [0, 1], at least 11 x 11: the mean over
/// windows of `(2 m_a m_b + c1) (2 s_ab + c2) / ((m_a^2 + m_b^2 + c1) (s_a^2 + s_b^2 + c2))`.
///
/// Windows are Gaussian, 11 x 11, of deviation 1.5, all inside of the map; `c1 = 0.01^2`, `c2 = 0.03^2`. Wang et al.
/// 2004, "Image Quality Assessment: From Error Visibility to Structural Similarity".
at::Tensor structural_similarity(const at::Tensor& a, const at::Tensor& b);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/similarity_inl.hpp"
#endif
