#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/pass.hpp"
#include "sightglass/cam/weigh.hpp"

namespace sightglass {

/// Ablation-CAM: `map = relu(sum_k w_k A_k)`, `w_k = (y - y_k) / y`, where `y_k` is the score with channel k of the
/// layer at zero. No gradients.
///
/// An image whose score y is 0 has weights 0. Desai and Ramaswamy 2020, "Ablation-CAM: Visual Explanations for Deep
/// Convolutional Network via Gradient-free Localization". pytorch-grad-cam sets the channel to a large negative number
/// where the layer's minimum is not 0.
struct AblationCam {
  Runs runs = {};
  static constexpr Tail tail = Tail::again;

  at::Tensor operator()(const Cut& cut) const { return detail::weigh(weights(cut), cut.activations()).relu_(); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return detail::weighted(weights(cut), cut.activations()); }

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    const at::Tensor without =
        detail::scores_so_far(runs, a, a.size(1), [&](int64_t image, int64_t first, int64_t last) {
          std::vector<int64_t> shape = a.sizes().vec();
          shape[0] = last - first;
          const at::Tensor ablated = a[image].unsqueeze(0).expand(shape).clone(at::MemoryFormat::Contiguous);
          ablated.diagonal(first, 0, 1).zero_();  // channel first + j of row j
          return cut.scores_with(ablated, detail::of_image(image, last - first));
        });
    const at::Tensor y = cut.scores().to(a.dtype()).unsqueeze(1);
    return ((y - without.to(a.dtype())) / y).masked_fill(y.eq(0) | ~detail::were_run(without), 0);
  }
};

}  // namespace sightglass
