#pragma once

#include "sightglass/cam/cut.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/cam/detail/pass_state.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor Cut::activations() const {
  TORCH_CHECK(problem_ == nullptr, "layer \"", layer_name(), "\": ", *problem_);
  return activations_;
}

SIGHTGLASS_INLINE Cut Cut::as_given() const {
  Cut given = *this;
  given.activations_ = given_;
  given.reshape_ = nullptr;
  given.problem_ = nullptr;
  return given;
}

SIGHTGLASS_INLINE Cut Cut::reshaped(const Reshape& reshape) const {
  return seen_by(std::make_shared<const Reshape>(reshape));
}

SIGHTGLASS_INLINE at::Tensor Cut::gradients() const {
  *used_gradients_ = true;
  return to_maps(pass_->gradients(*evidence_).at(number_));
}

SIGHTGLASS_INLINE at::Tensor Cut::hessian_times(const at::Tensor& vector) const {
  const at::Tensor given = reshape_ == nullptr ? vector : to_output(vector, at::zeros_like(given_));
  return to_maps(pass_->hessian_times(*evidence_, number_, given));
}

SIGHTGLASS_INLINE at::Tensor Cut::scores() const { return evidence_->score.detach(); }

SIGHTGLASS_INLINE at::Tensor Cut::classes() const { return evidence_->classes; }

SIGHTGLASS_INLINE bool Cut::has_class() const { return evidence_->target.has_class(); }

SIGHTGLASS_INLINE Target Cut::target() const { return evidence_->target; }

SIGHTGLASS_INLINE Cut Cut::with_target(const Target& target) const { return like_this({pass_, number_, target}); }

SIGHTGLASS_INLINE detail::Runner& Cut::runner() const { return pass_->runner(); }

SIGHTGLASS_INLINE Cut Cut::like_this(Cut other) const {
  if (reshape_ == nullptr) return other;
  return other.seen_by(reshape_);
}

SIGHTGLASS_INLINE at::Tensor Cut::output() const { return runner().output().detach(); }

SIGHTGLASS_INLINE at::Tensor Cut::input() const { return runner().input(); }

SIGHTGLASS_INLINE Cut Cut::again(const at::Tensor& input, const at::Tensor& images) const {
  const std::vector<Layer> layer{runner().layers()[number_]};
  const auto pass = std::make_shared<detail::PassState>(model(), layer, input, Tail::once);
  return like_this({pass, 0, pass_->of_images(evidence_->target, images)});
}

SIGHTGLASS_INLINE at::Tensor Cut::scores_of(const at::Tensor& input, const at::Tensor& images) const {
  const detail::NoGraph no_graph;
  return scores_in(runner().forward(input.to(runner().input().dtype())), images);
}

SIGHTGLASS_INLINE at::Tensor Cut::scores_with(const at::Tensor& activations, const at::Tensor& images) const {
  const detail::NoGraph no_graph;
  return scores_in(output_with(activations, images), images);
}

SIGHTGLASS_INLINE at::Tensor Cut::output_with(const at::Tensor& activations, const at::Tensor& images) const {
  const detail::NoGraph no_graph;
  at::Tensor given = activations;
  if (reshape_ != nullptr) {
    given = to_output(activations, given_.index_select(0, detail::moved_to(given_.device(), images))).contiguous();
  }
  return runner().tail(number_, given.to(runner().cut(number_).activations().options()), images);
}

SIGHTGLASS_INLINE at::Tensor Cut::input_gradients(const at::Tensor& input, const at::Tensor& images) const {
  return pass_->input_gradients(evidence_->target, input, images);
}

SIGHTGLASS_INLINE const Model& Cut::model() const { return runner().model(); }

SIGHTGLASS_INLINE const std::string& Cut::layer_name() const { return runner().cut(number_).name(); }

SIGHTGLASS_INLINE Cut::Cut(std::shared_ptr<detail::PassState> pass, size_t number, const Target& target)
    : pass_(std::move(pass)), number_(number), evidence_(pass_->evidence_for(target)) {
  const at::Tensor& activations = runner().cut(number).activations();
  given_ = activations.to(detail::map_dtype(activations));
  activations_ = given_;
  const std::shared_ptr<const detail::Layout>& layout = runner().layout(number);
  if (layout == nullptr) return;
  if (layout->reshape) {
    *this = seen_by(std::shared_ptr<const Reshape>(layout, &*layout->reshape));
  } else if (layout->problem) {
    problem_ = std::shared_ptr<const std::string>(layout, &*layout->problem);
  }
}

SIGHTGLASS_INLINE Cut Cut::seen_by(std::shared_ptr<const Reshape> reshape) const {
  Cut other = as_given();
  other.activations_ = reshape->to_maps(given_).contiguous();
  other.reshape_ = std::move(reshape);
  return other;
}

SIGHTGLASS_INLINE at::Tensor Cut::to_maps(const at::Tensor& output) const {
  return reshape_ == nullptr ? output : reshape_->to_maps(output);
}

SIGHTGLASS_INLINE at::Tensor Cut::to_output(const at::Tensor& maps, const at::Tensor& output) const {
  TORCH_CHECK(reshape_->to_output != nullptr,
              "reshape: this method changes activations and runs the model on, which needs Reshape::to_output too");
  return reshape_->to_output(maps, output);
}

SIGHTGLASS_INLINE at::Tensor Cut::scores_in(const at::Tensor& output, const at::Tensor& images) const {
  return pass_->of_images(evidence_->target, images).scores(output);
}

}  // namespace sightglass
