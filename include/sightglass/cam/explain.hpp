#pragma once

#include <ATen/ATen.h>

#include <string>
#include <type_traits>
#include <vector>

#include "sightglass/cam/pass.hpp"

namespace sightglass {

/// Explains `target` (the prediction by default) at `layer` by `method`: `explain(net, input, net->layer4, GradCam{})`.
///
/// `input` `[N, C, *S]`. Runs the model once. See `Pass` for several layers, methods or targets at the price of one.
template <class Method>
Explanation explain(const Model& model, const at::Tensor& input, const Layer& layer, const Method& method,
                    const Target& target = {}) {
  return detail::pass_at(model, input, layer, detail::tail_for<Method>).explain(0, method, target);
}

/// The same at the layer called `layer`.
template <class Method>
Explanation explain(const Model& model, const at::Tensor& input, const std::string& layer, const Method& method,
                    const Target& target = {}) {
  return explain(model, input, model.layer(layer), method, target);
}

/// Several layers in one forward and one backward pass; one explanation a layer, in order.
template <class Method>
std::vector<Explanation> explain(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers,
                                 const Method& method, const Target& target = {}) {
  const Pass pass(model, input, layers, detail::tail_for<Method>);
  std::vector<Explanation> explanations;
  for (size_t i = 0; i < pass.size(); ++i) explanations.push_back(pass.explain(i, method, target));
  return explanations;
}

}  // namespace sightglass
