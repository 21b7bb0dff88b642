#pragma once

#include "sightglass/cam/methods/recipro_cam.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor ReciproCam::operator()(const Cut& cut) const {
  const at::Tensor a = cut.activations();
  const at::Tensor masks = masks_for(a);  // [P, *S]
  const at::Tensor scores =
      detail::scores_so_far(runs, tail, a, masks.size(0), [&](int64_t image, int64_t first, int64_t last) {
        const at::Tensor kept = a[image].unsqueeze(0) * masks.slice(0, first, last).unsqueeze(1);
        return cut.scores_with(kept, detail::of_image(image, last - first));
      });
  return scores.masked_fill(~detail::were_run(scores), 0).to(a.dtype()).view(detail::map_shape(a));
}

SIGHTGLASS_INLINE at::Tensor ReciproCam::masks_for(const at::Tensor& a) const {
  at::Tensor masks = at::ones({1, 1}, a.options());
  std::vector<int64_t> shape{1};
  for (int64_t d = 2; d < a.dim(); ++d) {
    const int64_t length = a.size(d);
    at::Tensor along = at::eye(length, a.options());
    if (neighbourhood == Neighbourhood::gaussian) {
      along = along / 2;
      if (length > 1) {
        along.diagonal(1).fill_(.25);
        along.diagonal(-1).fill_(.25);
      }
    }
    masks = at::kron(masks, along);
    shape.push_back(length);
  }
  shape[0] = masks.size(0);
  return masks.reshape(shape);
}

}  // namespace sightglass
