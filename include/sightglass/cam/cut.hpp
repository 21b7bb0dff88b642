#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/cam/detail/pass_state.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/model/reshape.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

namespace detail {

template <class Method, class = void>
constexpr Tail tail_for = Tail::once;
/// A method says so by `static constexpr Tail tail = Tail::again`.
template <class Method>
constexpr Tail tail_for<Method, std::void_t<decltype(Method::tail)>> = Method::tail;

}  // namespace detail

/// What a method is given: a layer's activations and what goes with them, for one target; and the means to run the
/// model again on what a method changes. May be kept longer than the pass that gave it.
///
/// Tensors are in float32 for half and bfloat16 models, in float64 for float64, on the activations' device.
class Cut {
 public:
  /// `[N, C, *S]`, S one to three spatial dimensions: the layer's output as it left the layer; channels last and tokens
  /// are seen as maps. Throws where it cannot be told how.
  at::Tensor activations() const {
    TORCH_CHECK(problem_ == nullptr, "layer \"", layer_name(), "\": ", *problem_);
    return activations_;
  }
  /// The cut with the layer's output in its own shape.
  Cut as_given() const {
    Cut given = *this;
    given.activations_ = given_;
    given.reshape_ = nullptr;
    given.problem_ = nullptr;
    return given;
  }
  /// The cut seen in another shape; whatever shape it has been given before, `reshape` starts from the layer's own.
  Cut reshaped(const Reshape& reshape) const { return seen_by(std::make_shared<const Reshape>(reshape)); }

  /// `[N, C, *S]`: gradients of the target's score with respect to the activations; one backward pass for all layers.
  at::Tensor gradients() const {
    *used_gradients_ = true;
    return to_maps(pass_->gradients(*evidence_).at(number_));
  }
  /// `[N, C, *S]`: the Hessian of the score with respect to the activations, times `vector` `[N, C, *S]`; 0 where the
  /// score is linear in them. A backward pass through the backward pass.
  at::Tensor hessian_times(const at::Tensor& vector) const {
    const at::Tensor given = reshape_ == nullptr ? vector : to_output(vector, at::zeros_like(given_));
    return to_maps(pass_->hessian_times(*evidence_, number_, given));
  }
  /// `[N]`: the target's score.
  at::Tensor scores() const { return evidence_->score.detach(); }
  /// `[N]` int64: the target's class; -1 where it is no class.
  at::Tensor classes() const { return evidence_->classes; }
  /// True where the target is a class; known without looking at the device's numbers.
  bool has_class() const { return evidence_->target.has_class(); }
  /// The model's output.
  at::Tensor output() const { return runner().output().detach(); }
  /// `[N, ...]`: what the model was given.
  at::Tensor input() const { return runner().input(); }
  Target target() const { return evidence_->target; }

  /// The cut of the same pass for another target.
  Cut with_target(const Target& target) const { return like_this({pass_, number_, target}); }
  /// The cut at the same layer of a pass on another input, `[M, ...]`, for the target of these images: row j was made
  /// from image `images[j]` (`[M]` int64).
  Cut again(const at::Tensor& input, const at::Tensor& images) const {
    const std::vector<Layer> layer{runner().layers()[number_]};
    const auto pass = std::make_shared<detail::PassState>(model(), layer, input, Tail::once);
    return like_this({pass, 0, pass_->of_images(evidence_->target, images)});
  }
  /// `[M]`: the target's scores for another input, without gradients.
  at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) const {
    const detail::NoGraph no_graph;
    return scores_in(runner().forward(input.to(runner().input().dtype())), images);
  }
  /// `[M]`: the target's scores when the layer gives `activations` `[M, C, *S]` instead, without gradients.
  at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) const {
    const detail::NoGraph no_graph;
    return scores_in(output_with(activations, images), images);
  }
  /// `[M, ...]`: the model's output for the same.
  at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) const {
    const detail::NoGraph no_graph;
    at::Tensor given = activations;
    if (reshape_ != nullptr) {
      given = to_output(activations, given_.index_select(0, detail::moved_to(given_.device(), images))).contiguous();
    }
    return runner().tail(number_, given.to(runner().cut(number_).activations().options()), images);
  }
  /// `[M, ...]`: gradients of the target's scores with respect to another input.
  at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) const {
    return pass_->input_gradients(evidence_->target, input, images);
  }

  const Model& model() const { return runner().model(); }
  const std::string& layer_name() const { return runner().cut(number_).name(); }
  /// True once a method has asked this cut for gradients, in whatever shape.
  bool used_gradients() const { return *used_gradients_; }

 private:
  friend class Pass;

  /// At the pass's cut number `number`; channels last and tokens in the shape that methods work on.
  Cut(std::shared_ptr<detail::PassState> pass, size_t number, const Target& target)
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

  detail::Runner& runner() const { return pass_->runner(); }

  Cut seen_by(std::shared_ptr<const Reshape> reshape) const {
    Cut other = as_given();
    other.activations_ = reshape->to_maps(given_).contiguous();
    other.reshape_ = std::move(reshape);
    return other;
  }
  /// `other` in the shape in which this one is seen.
  Cut like_this(Cut other) const { return reshape_ == nullptr ? other : other.seen_by(reshape_); }

  at::Tensor to_maps(const at::Tensor& output) const {
    return reshape_ == nullptr ? output : reshape_->to_maps(output);
  }
  at::Tensor to_output(const at::Tensor& maps, const at::Tensor& output) const {
    TORCH_CHECK(reshape_->to_output != nullptr,
                "reshape: this method changes activations and runs the model on, which needs Reshape::to_output too");
    return reshape_->to_output(maps, output);
  }

  at::Tensor scores_in(const at::Tensor& output, const at::Tensor& images) const {
    return pass_->of_images(evidence_->target, images).scores(output);
  }

  std::shared_ptr<detail::PassState> pass_;
  size_t number_;
  std::shared_ptr<detail::TargetEvidence> evidence_;
  at::Tensor given_;                            // the layer's output in its own shape
  at::Tensor activations_;                      // as it is seen
  std::shared_ptr<const Reshape> reshape_;      // null: as it is
  std::shared_ptr<const std::string> problem_;  // why the layout cannot be told; null where it can
  std::shared_ptr<bool> used_gradients_ = std::make_shared<bool>(false);
};

}  // namespace sightglass
