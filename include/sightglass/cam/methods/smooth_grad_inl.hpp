#pragma once

#include "sightglass/cam/methods/smooth_grad.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor noisy(const at::Tensor& x, double share, uint64_t seed) {
  const at::Tensor flat = x.flatten(1);
  const at::Tensor deviation = over_each((flat.amax(1) - flat.amin(1)) * share, x.dim());
  return x + moved_to(x.device(), normal(x.sizes().slice(1), seed)).to(x.dtype()) * deviation;
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor Saliency::operator()(const Cut& cut) const {
  const at::Tensor x = cut.input();
  return cut.input_gradients(x, at::arange(x.size(0), at::kLong)).to(detail::map_dtype(x)).abs().amax(1);
}

SIGHTGLASS_INLINE at::Tensor SmoothGrad::operator()(const Cut& cut) const {
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

SIGHTGLASS_INLINE at::Tensor SmoothGradCamPlusPlus::operator()(const Cut& cut) const {
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

}  // namespace sightglass
