#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/pass.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

/// Ablation-CAM: `map = relu(sum_k w_k A_k)`, `w_k = (y - y_k) / y`, where `y_k` is the score with channel k of the
/// layer at zero. No gradients.
///
/// An image whose score y is 0 has weights 0. Desai and Ramaswamy 2020, "Ablation-CAM: Visual Explanations for Deep
/// Convolutional Network via Gradient-free Localization". pytorch-grad-cam sets the channel to a large negative number
/// where the layer's minimum is not 0.
struct AblationCam {
  /// How many images at once, and who is told of the progress.
  Runs runs = {};
  /// What lies behind the layer is run again.
  static constexpr Tail tail = Tail::again;

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return detail::weigh(weights(cut), cut.activations()).relu_(); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return detail::weighted(weights(cut), cut.activations()); }

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    Copies copies;
    const at::Tensor without =
        detail::scores_so_far(runs, tail, a, a.size(1), [&](int64_t image, int64_t first, int64_t last) {
          const at::Tensor ablated = copies.of(a, image, last - first);
          const at::Tensor gone = ablated.diagonal(first, 0, 1);  // channel first + j of row j: [*S, rows]
          gone.zero_();
          const uint32_t version = detail::version_of(ablated);
          const at::Tensor scores = cut.scores_with(ablated, detail::of_image(image, last - first)).clone();
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

 private:
  /// Copies of one image's activations. To write them costs more than to run the last layers of a network, so they are
  /// written once and what was ablated is put back, unless the model itself writes on what it is given.
  class Copies {
   public:
    /// `[count, C, *S]`
    at::Tensor of(const at::Tensor& a, int64_t image, int64_t count) {
      if (!rows_.defined() || image != image_ || rows_.size(0) < count) {
        std::vector<int64_t> shape = a.sizes().vec();
        shape[0] = count;
        rows_ = a[image].unsqueeze(0).expand(shape).clone(at::MemoryFormat::Contiguous);
        image_ = image;
      }
      return rows_.slice(0, 0, count);
    }
    void drop() { rows_.reset(); }

   private:
    at::Tensor rows_;
    int64_t image_ = -1;
  };
};

}  // namespace sightglass
