#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <vector>

#include "sightglass/cam/target.hpp"

namespace sightglass {

/// How the output of a detector is laid out that gives its boxes as one tensor.
enum class BoxLayout {
  class_columns,    ///< `[N, 4 + classes, boxes]`: centre x, y, width, height, a probability a class (YOLOv8, 11, 12)
  with_objectness,  ///< `[N, boxes, 5 + classes]`: the same, objectness before the classes (YOLOv5, v7)
  suppressed,       ///< `[N, boxes, 6]`: x0, y0, x1, y1, score, class, nothing left to suppress (YOLOv10, 26)
};

/// Options of `detections`, with chained setters: `DetectionOptions().score(0.5)`.
class DetectionOptions {
 public:
  /// Boxes of a lower score are left out; 0.25 unless told otherwise.
  DetectionOptions& score(double value);
  /// Of two boxes of one class that share more than this (intersection over union), the lower one goes; 0.7.
  DetectionOptions& overlap(double value);
  /// At most so many, of the highest scores; 300.
  DetectionOptions& most(int64_t value);
  /// How many columns behind the classes are of masks, not of classes; 0. Ultralytics' segmenters have 32.
  DetectionOptions& mask_columns(int64_t value);

  /// See the setter.
  double score() const { return score_; }
  /// See the setter.
  double overlap() const { return overlap_; }
  /// See the setter.
  int64_t most() const { return most_; }
  /// See the setter.
  int64_t mask_columns() const { return mask_columns_; }

 private:
  double score_ = 0.25;
  double overlap_ = 0.7;
  int64_t most_ = 300;
  int64_t mask_columns_ = 0;
};

/// One thing that a detector found, and the target that explains it.
struct Detection {
  std::array<double, 4> box;  ///< x0, y0, x1, y1, in pixels of the model's input
  int64_t label;              ///< its class
  double score;               ///< as the detector gives it, in [0, 1]
  Target target;              ///< its score before the sigmoid or softmax, so that a sure one has a gradient
};

/// What the detector found in image number `image` of its batch, highest score first; suppressed class by class.
///
/// `output` as `layout` says. Throws `c10::Error` for another shape and for an image that the batch has not. Empty
/// where nothing was found.
std::vector<Detection> detections(const at::Tensor& output, BoxLayout layout, int64_t image = 0,
                                  const DetectionOptions& options = {});

/// The same of a detector that suppresses itself and gives boxes `[N, K, 4]` as x0, y0, x1, y1, labels `[N, K]` and
/// scores `[N, K]`. The targets look at the scores.
///
/// torchvision's take a list of pictures, and give a dictionary for each: explain them through a function of one
/// picture, `Model(script, [&](const Tensor& x) { ...; return scores.unsqueeze(0); })`.
std::vector<Detection> detections(const at::Tensor& boxes, const at::Tensor& labels, const at::Tensor& scores,
                                  int64_t image = 0, const DetectionOptions& options = {});

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/detections_inl.hpp"
#endif
