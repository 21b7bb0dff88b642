#pragma once

#include "sightglass/cam/methods/ablation_cam.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor AblationCam::operator()(const Cut& cut) const {
  return detail::weigh(weights(cut), cut.activations()).relu_();
}

SIGHTGLASS_INLINE at::Tensor AblationCam::weighted(const Cut& cut) const {
  return detail::weighted(weights(cut), cut.activations());
}

SIGHTGLASS_INLINE at::Tensor AblationCam::weights(const Cut& cut) const {
  const at::Tensor a = cut.activations();
  Copies copies;
  const at::Tensor without =
      detail::scores_so_far(runs, tail, a, a.size(1), [&](int64_t image, int64_t first, int64_t last) {
        const at::Tensor ablated = copies.of(a, image, last - first);
        const at::Tensor gone = ablated.diagonal(first, 0, 1);  // channel first + j of row j: [*S, rows]
        gone.zero_();
        const uint32_t version = detail::version_of(ablated);
        at::Tensor scores = cut.scores_with(ablated, detail::of_image(image, last - first)).clone();
        const bool written = ablated.is_inference() || detail::version_of(ablated) != version;
        if (written) {
          copies.drop();
        } else {
          gone.copy_(a[image].slice(0, first, last).movedim(0, -1));
        }
        return scores;
      });
  const at::Tensor y = cut.scores().to(a.dtype()).unsqueeze(1);
  return ((y - without.to(a.dtype())) / y).masked_fill(y.eq(0) | ~detail::were_run(without), 0);
}

SIGHTGLASS_INLINE at::Tensor AblationCam::Copies::of(const at::Tensor& a, int64_t image, int64_t count) {
  if (!rows_.defined() || image != image_ || rows_.size(0) < count) {
    std::vector<int64_t> shape = a.sizes().vec();
    shape[0] = count;
    rows_ = a[image].unsqueeze(0).expand(shape).clone(at::MemoryFormat::Contiguous);
    image_ = image;
  }
  return rows_.slice(0, 0, count);
}

}  // namespace sightglass
