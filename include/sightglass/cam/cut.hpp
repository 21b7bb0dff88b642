#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/cam/target.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/model/reshape.hpp"

namespace sightglass {

namespace detail {

class PassState;
class Runner;
struct TargetEvidence;

template <class Method, class = void>
inline constexpr Tail tail_for = Tail::once;
/// A method says so by `static constexpr Tail tail = Tail::again`.
template <class Method>
inline constexpr Tail tail_for<Method, std::void_t<decltype(Method::tail)>> = Method::tail;

}  // namespace detail

/// What a method is given: a layer's activations and what goes with them, for one target; and the means to run the
/// model again on what a method changes. May be kept longer than the pass that gave it.
///
/// Tensors are in float32 for half and bfloat16 models, in float64 for float64, on the activations' device.
class Cut {
 public:
  /// `[N, C, *S]`, S one to three spatial dimensions: the layer's output as it left the layer; channels last and tokens
  /// are seen as maps. Throws `c10::Error` where it cannot be told how.
  at::Tensor activations() const;
  /// The cut with the layer's output in its own shape.
  Cut as_given() const;
  /// The cut seen in another shape; whatever shape it has been given before, `reshape` starts from the layer's own.
  Cut reshaped(const Reshape& reshape) const;

  /// `[N, C, *S]`: gradients of the target's score with respect to the activations; one backward pass for all layers.
  at::Tensor gradients() const;
  /// `[N, C, *S]`: the Hessian of the score with respect to the activations, times `vector` `[N, C, *S]`; 0 where the
  /// score is linear in them. A backward pass through the backward pass.
  at::Tensor hessian_times(const at::Tensor& vector) const;
  /// `[N]`: the target's score.
  at::Tensor scores() const;
  /// `[N]` int64: the target's class; -1 where it is no class.
  at::Tensor classes() const;
  /// True where the target is a class; known without looking at the device's numbers.
  bool has_class() const;
  /// The model's output.
  at::Tensor output() const;
  /// `[N, ...]`: what the model was given.
  at::Tensor input() const;
  /// What is explained.
  Target target() const;

  /// The cut of the same pass for another target.
  Cut with_target(const Target& target) const;
  /// The cut at the same layer of a pass on another input, `[M, ...]`, for the target of these images: row j was made
  /// from image `images[j]` (`[M]` int64).
  Cut again(const at::Tensor& input, const at::Tensor& images) const;
  /// `[M]`: the target's scores for another input, without gradients.
  at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) const;
  /// `[M]`: the target's scores when the layer gives `activations` `[M, C, *S]` instead, without gradients.
  at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) const;
  /// `[M, ...]`: the model's output for the same.
  at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) const;
  /// `[M, ...]`: gradients of the target's scores with respect to another input.
  at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) const;

  /// The model of the pass.
  const Model& model() const;
  /// The layer's path, or its type where it was given by handle.
  const std::string& layer_name() const;
  /// True once a method has asked this cut for gradients, in whatever shape.
  bool used_gradients() const { return *used_gradients_; }

 private:
  friend class Pass;

  /// At the pass's cut number `number`; channels last and tokens in the shape that methods work on.
  Cut(std::shared_ptr<detail::PassState> pass, size_t number, const Target& target);

  detail::Runner& runner() const;

  Cut seen_by(std::shared_ptr<const Reshape> reshape) const;
  /// `other` in the shape in which this one is seen.
  Cut like_this(Cut other) const;

  at::Tensor to_maps(const at::Tensor& output) const;
  at::Tensor to_output(const at::Tensor& maps, const at::Tensor& output) const;

  at::Tensor scores_in(const at::Tensor& output, const at::Tensor& images) const;

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

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/cut_inl.hpp"
#endif
