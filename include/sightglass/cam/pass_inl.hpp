#pragma once

#include "sightglass/cam/pass.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/pass_state.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Pass::Pass(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers, Tail tail)
    : state_(opened(model, input, layers, tail)) {}

SIGHTGLASS_INLINE at::Tensor Pass::output() const { return state_->runner().output().detach(); }

SIGHTGLASS_INLINE size_t Pass::size() const { return state_->runner().cuts(); }

SIGHTGLASS_INLINE const std::string& Pass::layer_name(size_t layer) const { return state_->runner().cut(layer).name(); }

SIGHTGLASS_INLINE size_t Pass::calls(size_t layer) const { return state_->runner().cut(layer).calls(); }

SIGHTGLASS_INLINE size_t Pass::call(size_t layer) const { return state_->runner().cut(layer).call(); }

SIGHTGLASS_INLINE bool Pass::elided(size_t layer) const { return state_->runner().elided(layer); }

SIGHTGLASS_INLINE Cut Pass::at(size_t layer, const Target& target) const {
  TORCH_CHECK(layer < size(), "layer: got number ", layer, ", the pass has ", size());
  return {state_, layer, target};
}

SIGHTGLASS_INLINE Explanation Pass::explanation_of(const Cut& cut, at::Tensor map) const {
  const Cut given = cut.as_given();
  const at::Tensor activations = given.activations();
  const int64_t dims = map.defined() ? map.dim() : 0;
  const bool fits = dims >= 2 && dims <= 4 && map.sizes() != activations.sizes();
  TORCH_CHECK(fits && map.size(0) == activations.size(0), "method: got a map ",
              map.defined() ? c10::str(map.sizes()) : std::string("that is undefined"), " for activations ",
              activations.sizes(), "; expected [N, *S]");
  at::Tensor gradient_size;
  if (cut.used_gradients()) gradient_size = given.gradients().flatten(1).abs().amax(1);
  return {std::move(map), cut.scores(), cut.classes(), state_->runner().input().sizes().slice(2).vec(),
          std::move(gradient_size)};
}

SIGHTGLASS_INLINE std::shared_ptr<detail::PassState> Pass::opened(const Model& model, const at::Tensor& input,
                                                                  const std::vector<Layer>& layers, Tail tail) {
  TORCH_CHECK(input.defined() && input.dim() >= 2 && input.size(0) > 0, "input: got ",
              input.defined() ? c10::str(input.sizes()) : std::string("an undefined tensor"),
              "; expected a batch [N, C, *S]");
  TORCH_CHECK(!layers.empty(), "layers: got none; give at least one");
  return std::make_shared<detail::PassState>(model, layers, input, tail);
}

SIGHTGLASS_INLINE Pass detail::pass_at(const Model& model, const at::Tensor& input, const Layer& layer, Tail tail) {
  return Pass(model, input, std::vector<Layer>{layer}, tail);
}

}  // namespace sightglass
