#pragma once

#include "sightglass/cam/methods/full_grad.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor full_grad_map(const at::Tensor& part, at::IntArrayRef size) {
  const at::Tensor strength = part.abs();
  const at::Tensor low = over_each(strength.flatten(1).amin(1), part.dim());
  const at::Tensor range = over_each(strength.flatten(1).amax(1), part.dim()) - low;
  const at::Tensor map = strength.sub_(low).div_(range + 1e-6).sum(1, /*keepdim=*/true);
  const at::Tensor resized = size.size() == 1   ? at::upsample_linear1d(map, size, true)
                             : size.size() == 2 ? at::upsample_bilinear2d(map, size, true)
                                                : at::upsample_trilinear3d(map, size, true);
  return resized.squeeze(1);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor FullGrad::operator()(const Cut& cut) const {
  const at::Tensor x = cut.input();
  TORCH_CHECK(x.dim() >= 3 && x.dim() <= 5, "FullGrad: the input is ", x.sizes(), ", expected [N, C, *S]");
  at::Tensor map;
  for (const at::Tensor& part : parts(cut)) {
    const at::Tensor one = detail::full_grad_map(part, x.sizes().slice(2));
    map = map.defined() ? map.add_(one) : one;
  }
  return map;
}

SIGHTGLASS_INLINE std::vector<at::Tensor> FullGrad::parts(const Cut& cut) const {
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

}  // namespace sightglass
