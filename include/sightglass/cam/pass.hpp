#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// One forward pass, kept open at its layers, from which any number of methods and targets are explained: the forward
/// pass is paid once, the backward pass (from the output to the earliest layer only) once a target.
///
/// Nothing before the earliest layer has a graph, parameters get no `.grad`, nothing of the model changes. The model
/// must be in evaluation mode. A layer that runs several times in one forward is taken at its last call, or at
/// `Layer::call(number)`.
class Pass {
 public:
  /// `input` `[N, ...]`, as the model takes it. Throws `c10::Error` where a layer does not run or gives no `[N, C,
  /// *S]`. With `Tail::again`, what lies behind a layer can be run again at the price of what lies behind it; else the
  /// first such run costs a pass more.
  Pass(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers, Tail tail = Tail::once);
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// The model's output, without its graph.
  at::Tensor output() const;
  /// How many layers it is open at.
  size_t size() const;
  /// The name of layer number `layer`. Throws `c10::Error` for a number that it does not have.
  const std::string& layer_name(size_t layer) const;
  /// How often layer number `layer` ran.
  size_t calls(size_t layer) const;
  /// Which of its calls is explained, from 0.
  size_t call(size_t layer) const;

  /// Whether runs of what lies behind the layer number `layer` cost no more than that; else they are run in full.
  bool elided(size_t layer) const;

  /// Explains the layer number `layer` (from 0, in the order given) by `method`, any callable `Cut -> [N, *S]`.
  template <class Method>
  Explanation explain(size_t layer, const Method& method, const Target& target = {}) const {
    const Cut cut = at(layer, target);
    const detail::NoGraph no_graph;
    return explanation_of(cut, method(cut));
  }

  /// What a method is given for a layer and a target.
  Cut at(size_t layer, const Target& target = {}) const;

 private:
  static std::shared_ptr<detail::PassState> opened(const Model& model, const at::Tensor& input,
                                                   const std::vector<Layer>& layers, Tail tail);

  /// What `map` explains; throws unless it is `[N, *S]`.
  Explanation explanation_of(const Cut& cut, at::Tensor map) const;

  std::shared_ptr<detail::PassState> state_;
};

namespace detail {

/// A pass at one layer: `Pass(model, input, {layer}, tail)`, without a vector in each program that explains.
Pass pass_at(const Model& model, const at::Tensor& input, const Layer& layer, Tail tail);

}  // namespace detail

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/pass_inl.hpp"
#endif
