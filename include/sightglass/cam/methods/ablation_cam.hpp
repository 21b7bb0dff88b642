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
  at::Tensor operator()(const Cut& cut) const;
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const;

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const;

 private:
  /// Copies of one image's activations. To write them costs more than to run the last layers of a network, so they are
  /// written once and what was ablated is put back, unless the model itself writes on what it is given.
  class Copies {
   public:
    /// `[count, C, *S]`
    at::Tensor of(const at::Tensor& a, int64_t image, int64_t count);
    void drop() { rows_.reset(); }

   private:
    at::Tensor rows_;
    int64_t image_ = 0;
  };
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/ablation_cam_inl.hpp"
#endif
