#pragma once

#include <sightglass/opencv.hpp>

#include <optional>
#include <vector>

#include "answers.hpp"
#include "segment.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"

namespace support {

/// What the model gives for an input, and what the methods say.
struct Run {
  torch::Tensor output;  // [N, outputs], or of a segmenter [N, classes, *S]
  std::vector<Answer> answers;
  Figures figures = {};
  std::optional<Segmentation> segmentation = {};
  std::vector<sightglass::Detection> detections = {};
  std::optional<Input> seen = {};  // what is explained, where that is another input of the model than the picture
};

}  // namespace support
