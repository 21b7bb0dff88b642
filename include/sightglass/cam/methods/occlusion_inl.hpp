#pragma once

#include "sightglass/cam/methods/occlusion.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor Occlusion::operator()(const Cut& cut) const {
  TORCH_CHECK(window > 0 && stride > 0 && stride <= window, "window, stride: got ", window, " and ", stride,
              "; expected 0 < stride <= window, so that every place is covered");
  const at::Tensor x = cut.input();
  const at::IntArrayRef size = x.sizes().slice(2);
  std::vector<int64_t> counts;
  int64_t count = 1;
  for (const int64_t length : size) {
    counts.push_back(std::max<int64_t>(0, (length - window + stride - 1) / stride) + 1);
    count *= counts.back();
  }
  const at::Tensor y = cut.scores().to(detail::map_dtype(x));
  const at::Tensor total = at::zeros(detail::map_shape(x), y.options());
  const at::Tensor covered = at::zeros_like(total);
  detail::scores_so_far(runs, Tail::once, x, count, [&](int64_t image, int64_t first, int64_t last) {
    std::vector<at::Tensor> variants;
    for (int64_t i = first; i < last; ++i) {
      variants.push_back(x[image].clone());
      part(variants.back(), 1, i, counts).fill_(baseline);
    }
    at::Tensor scores = cut.scores_of(at::stack(variants), detail::of_image(image, last - first));
    const at::Tensor fall = y[image] - scores.to(y.dtype());
    for (int64_t i = first; i < last; ++i) {
      part(total[image], 0, i, counts).add_(fall[i - first]);
      part(covered[image], 0, i, counts).add_(1);
    }
    return scores;
  });
  return total / covered.clamp_min(1);
}

SIGHTGLASS_INLINE at::Tensor Occlusion::part(at::Tensor tensor, int64_t from, int64_t index,
                                             const std::vector<int64_t>& counts) const {
  for (auto d = static_cast<int64_t>(counts.size()); d-- > 0;) {
    const int64_t place = index % counts[static_cast<size_t>(d)] * stride;
    index /= counts[static_cast<size_t>(d)];
    tensor = tensor.slice(from + d, place, std::min(place + window, tensor.size(from + d)));
  }
  return tensor;
}

}  // namespace sightglass
