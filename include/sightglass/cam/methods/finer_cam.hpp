#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"

namespace sightglass {

/// Finer-CAM: another method on the score less `alpha` times the mean score of the classes that the model confuses most
/// with it, those of the nearest scores: what tells the class from its likes.
///
/// The target must be a class. Zhang et al. 2025, "Finer-CAM: Spotting the Difference Reveals Finer Details for Visual
/// Explanation". torchcam agrees; pytorch-grad-cam weighs the classes by their probabilities, whose gradient it does
/// not stop. Classes of one's own choice: `Target::difference`.
template <class Method = GradCam>
struct FinerCam {
  Method method = {};
  double alpha = 0.6;
  int64_t classes = 3;  ///< how many are compared with

  at::Tensor operator()(const Cut& cut) const {
    TORCH_CHECK(cut.has_class(), "FinerCam: the target is no class, so nothing is like it; give a class");
    const at::Tensor output = cut.output();
    TORCH_CHECK(classes > 0 && output.dim() == 2 && classes < output.size(1), "classes: came ", classes,
                " to compare with, the model gives ", output.size(1), " in all");
    const auto [own, others] = own_and_nearest(output, cut.classes());
    const Target finer([own = own, others = others, alpha = alpha](const at::Tensor& scores) {
      return scores.gather(1, own).squeeze(1) - scores.gather(1, others).mean(1) * alpha;
    });
    return method(cut.with_target(finer));
  }

 private:
  /// `[N, 1]` and `[N, classes]`: what the backward pass keeps, so no inference tensors.
  std::pair<at::Tensor, at::Tensor> own_and_nearest(const at::Tensor& output, const at::Tensor& chosen) const {
    const c10::InferenceMode gradients_are_possible(false);
    const at::NoGradGuard no_gradients;
    const at::Tensor own = chosen.clone().unsqueeze(1);
    at::Tensor distance = (output - output.gather(1, own)).abs();
    distance.scatter_(1, own, INFINITY);
    return {own, std::get<1>(distance.topk(classes, 1, /*largest=*/false))};
  }
};

}  // namespace sightglass
