#pragma once

#include <ATen/ATen.h>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/trace/observers/rectified.hpp"

namespace sightglass {

/// Guided backpropagation: the gradient with respect to the input, where each ReLU also stops gradients below 0; the
/// map is its magnitude's largest over the input's channels, `[N, *S]`. The layer does not matter.
///
/// Every ReLU counts, `torch::relu` and in-place ones too; captum and pytorch-grad-cam see `nn.ReLU` modules only.
/// Springenberg et al. 2015, "Striving for Simplicity: The All Convolutional Net". It looks at the picture more than at
/// the class (Adebayo et al. 2018, "Sanity Checks for Saliency Maps").
struct GuidedBackprop {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return attributions(cut).abs().amax(1); }

  /// The same for each input channel, signed: `[N, C, *S]`.
  at::Tensor attributions(const Cut& cut) const {
    detail::RectifiedGradients guided;
    const detail::Observed listening(guided);
    const at::Tensor x = cut.input();
    return cut.input_gradients(x, at::arange(x.size(0), at::kLong));
  }
};

/// Guided Grad-CAM: guided backpropagation times the layer's Grad-CAM, enlarged bilinearly to the input's size.
///
/// Selvaraju et al. 2017, "Grad-CAM". captum enlarges to the nearest element.
struct GuidedGradCam {
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const { return attributions(cut).abs().amax(1); }

  /// The same for each input channel, signed: `[N, C, *S]`.
  at::Tensor attributions(const Cut& cut) const {
    const at::Tensor map = grad_cam(cut.activations(), cut.gradients());
    const at::Tensor mask = detail::resize_map(map, cut.input().sizes().slice(2)).unsqueeze(1);
    return GuidedBackprop{}.attributions(cut) * mask;
  }
};

}  // namespace sightglass
