#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/explanation.hpp"

namespace sightglass::detail {

/// Throws unless `explanation` is of as many images as `input`.
inline void check_batch(const Explanation& explanation, const at::Tensor& input) {
  TORCH_CHECK(input.size(0) == explanation.map().size(0), "explanation: got one of ", explanation.map().size(0),
              " images for an input of ", input.size(0), "; explain the same batch");
}

}  // namespace sightglass::detail
