#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/trace/scopes.hpp"

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

  at::Tensor operator()(const Cut& cut) const { return method(against_its_likes(cut)); }
  /// What the method's map is the rectified sum of, for `EigenSmoothed`; where the method has it.
  template <class M = Method>
  auto weighted(const Cut& cut) const -> decltype(std::declval<const M&>().weighted(cut)) {
    return method.weighted(against_its_likes(cut));
  }

 private:
  Cut against_its_likes(const Cut& cut) const {
    TORCH_CHECK(cut.has_class(), "FinerCam: the target is no class, so nothing is like it; give a class");
    const at::Tensor output = cut.output();
    TORCH_CHECK(classes > 0 && output.dim() == 2 && classes < output.size(1), "classes: got ", classes,
                " to compare with, the model gives ", output.size(1), " in all");
    const detail::NoGraph no_graph;
    at::Tensor distance = (output - output.gather(1, cut.classes().unsqueeze(1))).abs();
    distance.scatter_(1, cut.classes().unsqueeze(1), INFINITY);
    const at::Tensor others = std::get<1>(distance.topk(classes, 1, /*largest=*/false));
    return cut.with_target(Target::difference_of(Target::known(cut.classes()), others, alpha));
  }
};

}  // namespace sightglass
