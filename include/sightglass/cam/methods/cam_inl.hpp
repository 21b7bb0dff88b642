#pragma once

#include "sightglass/cam/methods/cam.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor cam(const at::Tensor& activations, const at::Tensor& weights) {
  TORCH_CHECK(activations.dim() >= 3, "activations: got ", activations.sizes(), ", expected [N, C, *S]");
  TORCH_CHECK(weights.dim() == 2 && weights.size(1) == activations.size(1), "weights: got ", weights.sizes(),
              ", expected [K, ", activations.size(1), "] for activations ", activations.sizes());
  const detail::WithoutAutocast without_autocast;
  const at::Tensor flat = at::matmul(weights, activations.flatten(2));  // [K, C] x [N, C, S]
  std::vector<int64_t> shape{activations.size(0), weights.size(0)};
  for (int64_t d = 2; d < activations.dim(); ++d) shape.push_back(activations.size(d));
  return flat.view(shape);
}

SIGHTGLASS_INLINE at::Tensor Cam::operator()(const Cut& cut) const {
  TORCH_CHECK(cut.has_class(), "Cam: the target is no class, so it has no weights; give a class, or use GradCam");
  const at::Tensor a = cut.activations();
  const at::Tensor all = (weights.defined() ? weights : head_of(cut)).detach().to(a.options());
  TORCH_CHECK(all.dim() == 2 && all.size(0) == cut.output().size(1) && all.size(1) == a.size(1), "weights: got ",
              all.sizes(), ", expected [", cut.output().size(1), ", ", a.size(1),
              "], [classes, channels], for layer \"", cut.layer_name(), "\" with activations ", a.sizes());
  const at::Tensor chosen = all.index_select(0, cut.classes());  // [N, C]
  return detail::weigh(chosen, a);
}

SIGHTGLASS_INLINE at::Tensor Cam::head_of(const Cut& cut) {
  const int64_t channels = cut.activations().size(1);
  const at::Tensor output = cut.output();
  at::Tensor found;
  for (const auto& [name, parameter] : cut.model().parameters()) {
    const bool matrix = parameter.dim() >= 2 && parameter.numel() == parameter.size(0) * parameter.size(1);
    if (matrix && output.dim() == 2 && parameter.size(0) == output.size(1) && parameter.size(1) == channels) {
      found = parameter.flatten(1);
    }
  }
  TORCH_CHECK(found.defined(), "Cam: the model has no linear layer from the ", channels, " channels of layer \"",
              cut.layer_name(), "\" to its output ", output.sizes(),
              "; CAM needs global average pooling and one linear layer after it: give its "
              "weights as Cam{weights}, choose the last convolution, or use GradCam");
  return found;
}

}  // namespace sightglass
