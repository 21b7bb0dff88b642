#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/model/model.hpp"
#include "sightglass/cam/target.hpp"

namespace sightglass {

class Cut;

/// Whether what lies behind a layer will be run again, with other activations.
enum class Tail { once, again };

namespace detail {

template <class Method, class = void>
constexpr Tail tail_for = Tail::once;
/// A method says so by `static constexpr Tail tail = Tail::again`.
template <class Method>
constexpr Tail tail_for<Method, std::void_t<decltype(Method::tail)>> = Method::tail;

/// What a cut asks of the pass that it was made by.
class CutSource {
 public:
  CutSource() = default;
  CutSource(const CutSource&) = delete;
  CutSource& operator=(const CutSource&) = delete;
  virtual ~CutSource() = default;
  virtual at::Tensor gradients() = 0;
  virtual at::Tensor hessian_times(const at::Tensor& vector) = 0;
  virtual at::Tensor input() = 0;
  virtual Target target() = 0;
  virtual Cut with_target(const Target& target) = 0;
  virtual Cut again(const at::Tensor& input, const at::Tensor& images) = 0;
  virtual at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) = 0;
  virtual at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) = 0;
  virtual at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) = 0;
  virtual at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) = 0;
};

}  // namespace detail

/// What a method is given: a layer's activations and what goes with them, for one target; and the means to run the
/// model again on what a method changes.
///
/// Tensors are in float32 for half and bfloat16 models, in float64 for float64, on the activations' device.
class Cut {
 public:
  /// `[N, C, *S]`, S one to three spatial dimensions: the layer's output as it left the layer; channels last and tokens
  /// are seen as maps. Throws where it cannot be told how.
  at::Tensor activations() const {
    TORCH_CHECK(problem_.empty(), "layer \"", layer_name_, "\": ", problem_);
    return activations_;
  }
  /// The cut with the layer's output in its own shape.
  Cut as_given() const {
    Cut given = given_ == nullptr ? *this : *given_;
    given.problem_.clear();
    return given;
  }
  /// `[N, C, *S]`: gradients of the target's score with respect to the activations; one backward pass for all layers.
  at::Tensor gradients() const {
    if (!gradients_->defined()) *gradients_ = source_->gradients();
    return *gradients_;
  }
  /// `[N, C, *S]`: the Hessian of the score with respect to the activations, times `vector` `[N, C, *S]`; 0 where the
  /// score is linear in them. A backward pass through the backward pass.
  at::Tensor hessian_times(const at::Tensor& vector) const { return source_->hessian_times(vector); }
  /// `[N]`: the target's score.
  at::Tensor scores() const { return scores_; }
  /// `[N]` int64: the target's class; -1 where it is no class.
  at::Tensor classes() const { return classes_; }
  /// True where the target is a class; known without looking at the device's numbers.
  bool has_class() const { return has_class_; }
  /// The model's output.
  at::Tensor output() const { return output_; }
  /// `[N, ...]`: what the model was given.
  at::Tensor input() const { return source_->input(); }
  Target target() const { return source_->target(); }

  /// The cut of the same pass for another target.
  Cut with_target(const Target& target) const { return source_->with_target(target); }
  /// The cut at the same layer of a pass on another input, `[M, ...]`, for the target of these images: row j was made
  /// from image `images[j]` (`[M]` int64).
  Cut again(const at::Tensor& input, const at::Tensor& images) const { return source_->again(input, images); }
  /// `[M]`: the target's scores for another input, without gradients.
  at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) const {
    return source_->scores_of(input, images);
  }
  /// `[M]`: the target's scores when the layer gives `activations` `[M, C, *S]` instead, without gradients.
  at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) const {
    return source_->scores_with(activations, images);
  }
  /// `[M, ...]`: the model's output for the same.
  at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) const {
    return source_->output_with(activations, images);
  }
  /// `[M, ...]`: gradients of the target's scores with respect to another input.
  at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) const {
    return source_->input_gradients(input, images);
  }

  /// The same cut with other activations, told by another source; for wrappers of methods.
  Cut seen_as(at::Tensor activations, std::shared_ptr<detail::CutSource> source) const {
    Cut other = *this;
    other.activations_ = std::move(activations);
    other.source_ = std::move(source);
    other.gradients_ = std::make_shared<at::Tensor>();
    other.given_ = std::make_shared<const Cut>(as_given());
    return other;
  }

  const Model& model() const { return *model_; }
  const std::string& layer_name() const { return layer_name_; }
  /// True once a method has asked for gradients.
  bool used_gradients() const { return gradients_->defined(); }

 private:
  friend class Pass;
  at::Tensor activations_;
  at::Tensor scores_;
  at::Tensor classes_;
  bool has_class_ = false;
  at::Tensor output_;
  const Model* model_ = nullptr;
  std::string layer_name_;
  std::string problem_;               // why the layout cannot be told
  std::shared_ptr<const Cut> given_;  // where this one is seen in another shape
  std::shared_ptr<at::Tensor> gradients_ = std::make_shared<at::Tensor>();
  std::shared_ptr<detail::CutSource> source_;
  std::shared_ptr<const void> owner_;  // keeps the pass, where nobody else does
};

namespace detail {

/// The dtype in which maps are computed.
inline at::ScalarType map_dtype(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace detail

}  // namespace sightglass
