#pragma once

#include <ATen/ATen.h>

#include <algorithm>

#include "sightglass/cam/cut.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Whether each channel's mean over places is taken off before the first principal component is computed.
enum class Centring { none, channel_means };

namespace detail {

/// Makes the element of largest magnitude of each map `[N, P]` positive: an eigenvector's sign is arbitrary.
at::Tensor with_positive_peak(const at::Tensor& flat);

/// `[N, S]`: the eigenvector to the largest eigenvalue of each symmetric matrix `[N, S, S]` without negative ones, by
/// squaring the matrix again and again, until all its columns are multiples of it. An eigenvalue that is smaller by
/// 1e-6 of itself or more takes no part.
at::Tensor first_eigenvector_by_squaring(const at::Tensor& matrix);

/// The same by LAPACK on the CPU. Elsewhere by squaring: cuSOLVER waits for the device, and takes long for small ones.
at::Tensor first_eigenvector(const at::Tensor& matrix);

}  // namespace detail

/// Eigen-CAM: the projection of the activations, as a matrix of places by channels, on their first right singular
/// vector. It looks at no class.
///
/// `activations` `[N, C, *S]`; returns `[N, *S]`, signed such that the element of largest magnitude is positive. From
/// the eigenvectors of the Gram matrix of the smaller side, in float64. Muhammad and Yeasin 2020, "Eigen-CAM: Class
/// Activation Map using Principal Components": not centred. pytorch-grad-cam always centres, and leaves the sign to
/// chance.
at::Tensor eigen_cam(const at::Tensor& activations, Centring centring = Centring::none);

/// EigenGrad-CAM: Eigen-CAM of `gradients * activations`, which looks at the class. As in pytorch-grad-cam, which
/// centres.
at::Tensor eigen_grad_cam(const at::Tensor& activations, const at::Tensor& gradients,
                          /// Whether each channel's mean is taken off first.
                          Centring centring = Centring::none);

/// Eigen-CAM as a method for `explain`.
struct EigenCam {
  /// Whether each channel's mean is taken off first.
  Centring centring = Centring::none;
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

/// EigenGrad-CAM as a method for `explain`.
struct EigenGradCam {
  /// Whether each channel's mean is taken off first.
  Centring centring = Centring::none;
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/eigen_cam_inl.hpp"
#endif
