#pragma once

#include <ATen/ATen.h>

#include <string>

#include "sightglass/cam/cut.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// Class activation map: `map[n, s] = sum_k weights[n, k] * activations[n, k, s]`, the einsum `ck,nkij->ncij` at one
/// class.
///
/// `activations` `[N, C, *S]`; `weights` `[K, C]` gives the maps of all K classes, `[N, K, *S]`. No bias and no
/// rectifier: the map is signed. Zhou et al. 2016, "Learning Deep Features for Discriminative Localization".
at::Tensor cam(const at::Tensor& activations, const at::Tensor& weights);

/// CAM as a method for `explain`: the weights of the class in the linear layer that follows global average pooling.
///
/// Without `weights`, they are those of the model's last linear layer or 1x1 convolution with as many inputs as the
/// layer has channels and as many outputs as the model has classes; the target must be a class. torchcam's
/// documentation rectifies, its code does not; pytorch-grad-cam has no CAM.
struct Cam {
  at::Tensor weights;  ///< `[K, C]`, or undefined

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

 private:
  static at::Tensor head_of(const Cut& cut);
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/cam_inl.hpp"
#endif
