#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/observers/biases.hpp"

namespace sightglass {

namespace detail {

/// `|part|` of `[N, C, *S]`, brought to [0, 1] by the extremes of each image over channels and places; then summed
/// over channels and enlarged to `size`, corners aligned. A part that is the same everywhere gives 0.
at::Tensor full_grad_map(const at::Tensor& part, at::IntArrayRef size);

}  // namespace detail

/// FullGrad: `map = psi(x * g) + sum_l psi(b_l * g_l)`, x and g the input and its gradient, `b_l` the bias of
/// convolution or batch norm l and `g_l` the gradient at its output; `psi(p) = sum_c resize((|p| - min |p|) / (range +
/// 1e-6))`, the extremes those of a whole part of one image, the resizing bilinear with corners aligned.
///
/// `[N, *S]`, the input's size; the layer does not matter. One forward and one backward pass. A batch norm's bias is
/// `beta - gamma * mean / sqrt(var + eps)`. Srinivas and Fleuret 2019, "Full-Gradient Representation for Neural Network
/// Visualization", as their code has it, the 1e-6 too: linear layers' biases are left out. pytorch-grad-cam scales each
/// channel by itself, so that strong and weak channels count the same.
struct FullGrad {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

  /// The parts before psi: `x * g` `[N, C, *S]` first, then `b_l * g_l` of each layer in the order in which they ran.
  /// For a network of convolutions, batch norms, ReLU and pooling, they sum to the score, less what linear layers'
  /// biases bring.
  std::vector<at::Tensor> parts(const Cut& cut) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/full_grad_inl.hpp"
#endif
