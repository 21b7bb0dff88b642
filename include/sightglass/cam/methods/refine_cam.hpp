#pragma once

#include <string>
#include <vector>

#include "sightglass/cam/explain.hpp"
#include "sightglass/cam/fuse.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"

namespace sightglass {

/// RefineCAM: the product of several layers' maps, each normalised to [0, 1] and enlarged bilinearly to the largest:
/// what the deep layers point at, with the edges of the shallow ones.
///
/// `layers` from one forward and one backward pass, by Grad-CAM or another method. arXiv 2605.14641.
/// pytorch-grad-cam takes Grad-CAM++ and enlarges to the input's size.
template <class Method = GradCam>
Explanation refine_cam(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers,
                       const Target& target = {}, const Method& method = {}) {
  return fuse(explain(model, input, layers, method, target), Fusion::product);
}

}  // namespace sightglass
