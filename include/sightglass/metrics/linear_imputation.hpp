#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace sightglass {

/// How pixels that are taken away are filled from those around them.
struct LinearImputationOptions {
  double tolerance = 1e-4;  ///< of the residual's norm, as a share of the right-hand side's
  int64_t max_iterations = 2000;
};

namespace detail {

/// Twice each element and once those beside it along `dim`; none beyond the edge.
at::Tensor with_neighbours(const at::Tensor& planes, int64_t dim);

/// Each pixel's sum of its eight neighbours, direct ones weighing 1/6, diagonal ones 1/12; none beyond the edge.
/// `[M, C, H, W]`. By rows and columns: a convolution of single planes is many times slower on the CPU.
at::Tensor neighbour_sum(const at::Tensor& planes);

/// `[M, C, 1, 1]`: the inner product of each plane.
at::Tensor plane_dot(const at::Tensor& a, const at::Tensor& b);

}  // namespace detail

/// Fills the pixels of `images` `[M, C, H, W]` where `removed` `[M, 1, H, W]` is true: each becomes the weighted mean
/// of its eight neighbours, direct ones weighing 1/6 and diagonal ones 1/12, all removed pixels at once.
///
/// At the edge the mean is over the neighbours there are. The sparse, symmetric, positive definite system is solved by
/// conjugate gradients, all planes side by side, from the mean of the pixels that are left. Rong et al. 2022, "A
/// Consistent and Efficient Evaluation Strategy for Attribution Methods", without their noise; they solve directly,
/// with SciPy. Throws `c10::Error` where an image has no pixel left, or the tolerance is not reached.
at::Tensor linear_imputation(const at::Tensor& images, const at::Tensor& removed,
                             const LinearImputationOptions& options = {});

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/linear_imputation_inl.hpp"
#endif
