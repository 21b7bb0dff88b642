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
inline at::Tensor full_grad_map(const at::Tensor& part, at::IntArrayRef size) {
  const at::Tensor strength = part.abs();
  const at::Tensor low = over_each(strength.flatten(1).amin(1), part.dim());
  const at::Tensor range = over_each(strength.flatten(1).amax(1), part.dim()) - low;
  const at::Tensor map = strength.sub_(low).div_(range + 1e-6).sum(1, /*keepdim=*/true);
  const at::Tensor resized = size.size() == 1   ? at::upsample_linear1d(map, size, true)
                             : size.size() == 2 ? at::upsample_bilinear2d(map, size, true)
                                                : at::upsample_trilinear3d(map, size, true);
  return resized.squeeze(1);
}

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
  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor x = cut.input();
    TORCH_CHECK(x.dim() >= 3 && x.dim() <= 5, "FullGrad: the input is ", x.sizes(), ", expected [N, C, *S]");
    at::Tensor map;
    for (const at::Tensor& part : parts(cut)) {
      const at::Tensor one = detail::full_grad_map(part, x.sizes().slice(2));
      map = map.defined() ? map.add_(one) : one;
    }
    return map;
  }

  /// The parts before psi: `x * g` `[N, C, *S]` first, then `b_l * g_l` of each layer in the order in which they ran.
  /// For a network of convolutions, batch norms, ReLU and pooling, they sum to the score, less what linear layers'
  /// biases bring.
  std::vector<at::Tensor> parts(const Cut& cut) const {
    const at::Tensor x = cut.input();
    const auto dtype = detail::map_dtype(x);
    detail::BiasGradients biases;
    std::vector<at::Tensor> all;
    {
      const detail::Observed listening(biases);
      all.push_back(cut.input_gradients(x, at::arange(x.size(0), at::kLong)).to(dtype) * x.to(dtype));
    }
    for (const auto& term : biases.terms()) {
      const at::Tensor& g = term->gradient;
      if (!g.defined() || g.dim() != x.dim()) continue;
      all.push_back(g.to(dtype) * detail::over_places(term->bias.to(dtype).unsqueeze(0), g));
    }
    return all;
  }
};

}  // namespace sightglass
