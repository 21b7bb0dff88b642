#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

namespace detail {

/// `x` `[N, ...]` with normal noise, its deviation `share` times each image's range of values; the same draw for each
/// image.
at::Tensor noisy(const at::Tensor& x, double share, uint64_t seed);

}  // namespace detail

/// Saliency: the magnitude of the score's gradient with respect to the input, its largest over channels; `[N, *S]`, the
/// input's size. The layer does not matter.
///
/// Simonyan et al. 2014, "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency
/// Maps".
struct Saliency {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

/// SmoothGrad: the gradient with respect to the input, averaged over `samples` noisy inputs, then as in `Saliency`.
///
/// The noise is normal, its deviation `noise` times the image's range of values; from `seed`, the same for each image.
/// Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
struct SmoothGrad {
  /// How many noisy inputs.
  int64_t samples = 50;
  /// Its deviation, as a share of the image's range of values.
  double noise = 0.15;
  /// The same seed gives the same map.
  uint64_t seed = 0;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

/// Smooth Grad-CAM++: Grad-CAM++ whose powers of the gradient are means over `samples` noisy inputs:
/// `alpha = mean(g^2) / (2 mean(g^2) + sum_s(A) mean(g^3))`, weights `sum_s alpha * relu(mean(g))`,
/// `map = relu(sum_k weights * A)` with the activations A of the input itself.
///
/// The noise as in `SmoothGrad`. Omeiza et al. 2019, "Smooth Grad-CAM++: An Enhanced Inference Level Visualization
/// Technique for Deep Convolutional Neural Network Models". torchcam rectifies the last sample's gradient instead of
/// the mean.
struct SmoothGradCamPlusPlus {
  /// How many noisy inputs.
  int64_t samples = 4;
  /// Its deviation, as a share of the image's range of values.
  double noise = 0.15;
  /// The same seed gives the same map.
  uint64_t seed = 0;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/smooth_grad_inl.hpp"
#endif
