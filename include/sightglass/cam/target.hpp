#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "sightglass/trace/tensors.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

template <class Method>
struct FinerCam;

/// What is explained: one number an image, computed from the model's output.
///
/// The prediction (default), a class, a class for each image, the softmax of a class, the difference of classes, a
/// class within a mask, a detection's score, or any function `Tensor -> [N]` (differentiable). Copies are the same
/// target.
class Target {
 public:
  /// From the model's output to one number an image, `[N]`.
  using Score = std::function<at::Tensor(const at::Tensor&)>;

  /// The class with the highest score, for each image. One number an image, `[N]`, is class 0.
  Target();

  /// The same class for all images. Throws `c10::Error` for an output without that class, when it is used.
  template <class Index, class = std::enable_if_t<std::is_integral_v<Index> && !std::is_same_v<Index, bool>>>
  Target(Index index)  // NOLINT(google-explicit-constructor): an index is a target
      : Target(constant(static_cast<int64_t>(index))) {}

  /// One class an image. Throws `c10::Error` for a batch of another size, when it is used.
  Target(const std::vector<int64_t>& indices)  // NOLINT(google-explicit-constructor)
      : Target(at::tensor(indices, at::kLong)) {}
  /// The same from an int64 tensor `[N]`.
  explicit Target(const at::Tensor& indices);

  /// Any function from the model's output to one number an image, `[N]`.
  template <class Fn, class = std::enable_if_t<std::is_invocable_r_v<at::Tensor, Fn&, const at::Tensor&>>, class = void>
  Target(Fn score)  // NOLINT(google-explicit-constructor)
      : Target("the target function", nullptr, Score(std::move(score))) {}

  /// The probability of a class: softmax over the classes of an output `[N, classes]`.
  static Target softmax(int64_t index);

  /// The score of a class, less `alpha` times the mean score of others (Zhang 2025, Finer-CAM).
  static Target difference(int64_t index, const std::vector<int64_t>& others, double alpha = 1.0);

  /// The same with classes for each image: `own` `[N]` and `others` `[N, K]` int64.
  static Target difference(const at::Tensor& own, const at::Tensor& others, double alpha = 1.0);

  /// The sum of a class's scores over the places where `mask` (`[*S]` or `[N, *S]`) is not 0; output `[N, classes,
  /// *S]`: of pictures `*S` is `H, W`, of volumes `D, H, W`, of series `L`.
  static Target segmentation(int64_t index, const at::Tensor& mask);

  /// The score of a class at one of the boxes that a detector gives; output `[N, boxes, classes]`.
  static Target box(int64_t box_index, int64_t index);

  /// The explained number of each image, `[N]`, part of the graph of `output`.
  at::Tensor scores(const at::Tensor& output) const;

  /// The class of each image, `[N]` int64; -1 where the target is no class.
  at::Tensor classes(const at::Tensor& output) const;
  /// True where the target is a class, or made of one: where `classes` are indices.
  bool has_class() const { return rule_->classes != nullptr; }
  /// True where the score is the output at `classes`, as it is.
  bool is_output_at_class() const { return rule_->score == nullptr; }

  /// The same for a batch whose row j was made from image `images[j]` (`[M]` int64) of the batch that gave `output`: a
  /// prediction stays what it was for that image.
  Target of(const at::Tensor& output, const at::Tensor& images) const;

  /// Equal for copies of one target.
  const void* id() const { return rule_.get(); }

 private:
  template <class Method>
  friend struct FinerCam;

  using Classes = std::function<at::Tensor(const at::Tensor&)>;
  using Of = std::function<Target(const at::Tensor& output, const at::Tensor& images)>;
  struct Rule {
    std::string name;
    Classes classes;
    Score score;  ///< null where it is the output at the class
    Of of;        ///< null where the rule is the same for all images
  };

  Target(std::string name, Classes classes, Score score, Of of = nullptr);
  explicit Target(const Classes& classes, Of of = nullptr);

  static Of chosen_from(const Classes& classes);

  static Target difference_of(const Classes& classes, const at::Tensor& others, double alpha);

  static void check_index(int64_t index, int64_t classes);

  /// `[N]` as `[N, 1]`.
  static at::Tensor as_classes(const at::Tensor& output);

  static void check_output(const at::Tensor& output);

  static at::Tensor predicted(const at::Tensor& output);

  static Classes constant(int64_t index);

  static Classes from_tensor(const at::Tensor& indices);

  /// Indices that have been checked, or that an output gave: a GPU is not waited for to look at them.
  static Classes known(at::Tensor indices);

  static Score score_of(Classes classes);

  std::shared_ptr<const Rule> rule_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/target_inl.hpp"
#endif
