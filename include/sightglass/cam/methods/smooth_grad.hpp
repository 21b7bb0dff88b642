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
inline at::Tensor noisy(const at::Tensor& x, double share, uint64_t seed) {
  const at::Tensor flat = x.flatten(1);
  const at::Tensor deviation = over_each((flat.amax(1) - flat.amin(1)) * share, x.dim());
  return x + moved_to(x.device(), normal(x.sizes().slice(1), seed)).to(x.dtype()) * deviation;
}

}  // namespace detail

/// Saliency: the magnitude of the score's gradient with respect to the input, its largest over channels; `[N, *S]`, the
/// input's size. The layer does not matter.
///
/// Simonyan et al. 2014, "Deep Inside Convolutional Networks: Visualising Image Classification Models and Saliency
/// Maps".
struct Saliency {
  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor x = cut.input();
    return cut.input_gradients(x, at::arange(x.size(0), at::kLong)).to(detail::map_dtype(x)).abs().amax(1);
  }
};

/// SmoothGrad: the gradient with respect to the input, averaged over `samples` noisy inputs, then as in `Saliency`.
///
/// The noise is normal, its deviation `noise` times the image's range of values; from `seed`, the same for each image.
/// Smilkov et al. 2017, "SmoothGrad: removing noise by adding noise".
struct SmoothGrad {
  int64_t samples = 50;
  double noise = 0.15;
  uint64_t seed = 0;
  Runs runs = {};

  at::Tensor operator()(const Cut& cut) const {
    TORCH_CHECK(samples > 0, "samples: got ", samples, ", expected at least 1");
    const at::Tensor given = cut.input();
    const at::Tensor x = given.to(detail::map_dtype(given));
    const at::Tensor images = at::arange(x.size(0), at::kLong);
    at::Tensor sum = at::zeros_like(x);
    int64_t done = 0;
    while (done < samples) {
      sum += cut.input_gradients(detail::noisy(x, noise, seed + static_cast<uint64_t>(done)), images);
      if (!detail::goes_on(runs, ++done, samples)) break;
    }
    return (sum / static_cast<double>(done)).abs().amax(1);
  }
};

/// Smooth Grad-CAM++: Grad-CAM++ whose powers of the gradient are means over `samples` noisy inputs:
/// `alpha = mean(g^2) / (2 mean(g^2) + sum_s(A) mean(g^3))`, weights `sum_s alpha * relu(mean(g))`,
/// `map = relu(sum_k weights * A)` with the activations A of the input itself.
///
/// The noise as in `SmoothGrad`. Omeiza et al. 2019, "Smooth Grad-CAM++: An Enhanced Inference Level Visualization
/// Technique for Deep Convolutional Neural Network Models". torchcam rectifies the last sample's gradient instead of
/// the mean.
struct SmoothGradCamPlusPlus {
  int64_t samples = 4;
  double noise = 0.15;
  uint64_t seed = 0;
  Runs runs = {};

  at::Tensor operator()(const Cut& cut) const {
    TORCH_CHECK(samples > 0, "samples: got ", samples, ", expected at least 1");
    const at::Tensor a = cut.activations();
    const at::Tensor x = cut.input();
    const at::Tensor images = at::arange(x.size(0), at::kLong);
    at::Tensor first = at::zeros_like(a), second = at::zeros_like(a), third = at::zeros_like(a);
    int64_t done = 0;
    while (done < samples) {
      const Cut another = cut.again(detail::noisy(x, noise, seed + static_cast<uint64_t>(done)), images);
      const at::Tensor g = another.gradients();
      first += g;
      second += g.square();
      third += g.pow(3);
      if (!detail::goes_on(runs, ++done, samples)) break;
    }
    const at::Tensor sums = detail::over_places(a.flatten(2).sum(2), a);
    const at::Tensor denominator = second * 2 + sums * third;
    const at::Tensor alpha = (second / denominator).masked_fill_(denominator.eq(0), 0);
    const at::Tensor weights = (alpha * first.relu() / static_cast<double>(done)).flatten(2).sum(2);
    return detail::weigh(weights, a).relu_();
  }
};

}  // namespace sightglass
