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
  using Score = std::function<at::Tensor(const at::Tensor&)>;

  /// The class with the highest score, for each image. One number an image, `[N]`, is class 0.
  Target() : Target("the prediction", predicted, nullptr, chosen_from(predicted)) {}

  /// The same class for all images. Throws when used on an output without that class.
  template <class Index, class = std::enable_if_t<std::is_integral_v<Index> && !std::is_same_v<Index, bool>>>
  Target(Index index)  // NOLINT(google-explicit-constructor): an index is a target
      : Target(constant(static_cast<int64_t>(index))) {}

  /// One class an image. Throws when used on a batch of another size.
  Target(const std::vector<int64_t>& indices)  // NOLINT(google-explicit-constructor)
      : Target(at::tensor(indices, at::kLong)) {}
  /// The same from an int64 tensor `[N]`.
  explicit Target(const at::Tensor& indices) : Target(from_tensor(indices), chosen_from(from_tensor(indices))) {}

  /// Any function from the model's output to one number an image, `[N]`.
  template <class Fn, class = std::enable_if_t<std::is_invocable_r_v<at::Tensor, Fn&, const at::Tensor&>>, class = void>
  Target(Fn score)  // NOLINT(google-explicit-constructor)
      : Target("the target function", nullptr, Score(std::move(score))) {}

  /// The probability of a class: softmax over the classes of an output `[N, classes]`.
  static Target softmax(int64_t index) {
    const Classes classes = constant(index);
    return {"softmax of class " + std::to_string(index), classes,
            [score = score_of(classes)](const at::Tensor& output) {
              check_output(output);
              return score(at::softmax(output, 1));
            }};
  }

  /// The score of a class, less `alpha` times the mean score of others (Zhang 2025, Finer-CAM).
  static Target difference(int64_t index, const std::vector<int64_t>& others, double alpha = 1.0) {
    TORCH_CHECK(!others.empty(), "others: got no classes; give those to compare with");
    const Classes classes = constant(index);
    return {"class " + std::to_string(index) + " against others", classes,
            [score = score_of(classes), others, alpha](const at::Tensor& output) {
              at::Tensor rest = at::zeros_like(score(output));
              for (const int64_t other : others) rest = rest + score_of(constant(other))(output);
              return score(output) - rest * (alpha / static_cast<double>(others.size()));
            }};
  }

  /// The same with classes for each image: `own` `[N]` and `others` `[N, K]` int64.
  static Target difference(const at::Tensor& own, const at::Tensor& others, double alpha = 1.0) {
    TORCH_CHECK(own.dim() == 1 && others.dim() == 2 && others.size(0) == own.size(0) && others.size(1) > 0,
                "own, others: got ", own.sizes(), " and ", others.sizes(), ", expected [N] and [N, K]");
    return difference_of(from_tensor(own), others, alpha);
  }

  /// The sum of a class's scores over the places where `mask` (`[H, W]` or `[N, H, W]`) is not 0; output `[N, classes,
  /// H, W]`.
  static Target segmentation(int64_t index, const at::Tensor& mask) {
    return {"class " + std::to_string(index) + " within the mask", nullptr,
            [index, mask](const at::Tensor& output) {
              TORCH_CHECK(output.dim() == 4, "target: a segmentation target needs an output [N, classes, H, W], got ",
                          output.sizes());
              check_index(index, output.size(1));
              const at::Tensor plane = output.select(1, index);
              TORCH_CHECK((mask.dim() == 2 || mask.dim() == 3) &&
                              mask.sizes().slice(static_cast<size_t>(mask.dim() - 2)) == plane.sizes().slice(1) &&
                              (mask.dim() == 2 || mask.size(0) == plane.size(0)),
                          "mask: got ", mask.sizes(), ", expected [H, W] or [N, H, W] of the output's ", plane.sizes());
              return (plane * detail::moved_to(plane.device(), mask).ne(0).to(plane.dtype())).flatten(1).sum(1);
            },
            [index, mask](const at::Tensor& /*output*/, const at::Tensor& images) {
              return segmentation(
                  index, mask.dim() == 3 ? mask.index_select(0, detail::moved_to(mask.device(), images)) : mask);
            }};
  }

  /// The score of a class at one of the boxes that a detector gives; output `[N, boxes, classes]`.
  static Target box(int64_t box_index, int64_t index) {
    return {"class " + std::to_string(index) + " of box " + std::to_string(box_index), nullptr,
            [box_index, index](const at::Tensor& output) {
              TORCH_CHECK(output.dim() == 3, "target: a box target needs an output [N, boxes, classes], got ",
                          output.sizes());
              TORCH_CHECK(box_index >= 0 && box_index < output.size(1), "box_index: got ", box_index,
                          ", the model gives ", output.size(1), " boxes");
              check_index(index, output.size(2));
              return output.select(1, box_index).select(1, index);
            }};
  }

  /// The explained number of each image, `[N]`, part of the graph of `output`.
  at::Tensor scores(const at::Tensor& output) const {
    at::Tensor score = is_output_at_class() ? score_of(rule_->classes)(as_classes(output)) : rule_->score(output);
    TORCH_CHECK(score.defined() && score.dim() == 1 && score.size(0) == output.size(0), "target: ", rule_->name,
                " must give one number an image, [", output.size(0), "]; got ",
                score.defined() ? c10::str(score.sizes()) : std::string("nothing"));
    return score;
  }

  /// The class of each image, `[N]` int64; -1 where the target is no class.
  at::Tensor classes(const at::Tensor& output) const {
    return has_class() ? rule_->classes(as_classes(output))
                       : at::full({output.size(0)}, -1, output.options().dtype(at::kLong).requires_grad(false));
  }
  /// True where the target is a class, or made of one: where `classes` are indices.
  bool has_class() const { return rule_->classes != nullptr; }
  /// True where the score is the output at `classes`, as it is.
  bool is_output_at_class() const { return rule_->score == nullptr; }

  /// The same for a batch whose row j was made from image `images[j]` (`[M]` int64) of the batch that gave `output`: a
  /// prediction stays what it was for that image.
  Target of(const at::Tensor& output, const at::Tensor& images) const {
    return rule_->of == nullptr ? *this : rule_->of(has_class() ? as_classes(output) : output, images);
  }

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

  Target(std::string name, Classes classes, Score score, Of of = nullptr)
      : rule_(
            std::make_shared<const Rule>(Rule{std::move(name), std::move(classes), std::move(score), std::move(of)})) {}
  explicit Target(const Classes& classes, Of of = nullptr) : Target("the class", classes, nullptr, std::move(of)) {}

  static Of chosen_from(const Classes& classes) {
    return [classes](const at::Tensor& output, const at::Tensor& images) {
      const Classes chosen = known(classes(output).index_select(0, detail::moved_to(output.device(), images)));
      return Target(chosen, chosen_from(chosen));
    };
  }

  static Target difference_of(const Classes& classes, const at::Tensor& others, double alpha) {
    const detail::Saveable saveable;
    const at::Tensor saved = others.clone();
    return {"classes against others", classes,
            [score = score_of(classes), saved, alpha](const at::Tensor& output) {
              TORCH_CHECK(saved.size(0) == output.size(0), "others: got classes for ", saved.size(0),
                          " images, the batch has ", output.size(0));
              return score(output) - output.gather(1, detail::moved_to(output.device(), saved)).mean(1) * alpha;
            },
            [classes, saved, alpha](const at::Tensor& output, const at::Tensor& images) {
              const at::Tensor own = classes(output);
              return difference_of(known(own.index_select(0, detail::moved_to(own.device(), images))),
                                   saved.index_select(0, detail::moved_to(saved.device(), images)), alpha);
            }};
  }

  static void check_index(int64_t index, int64_t classes) {
    TORCH_CHECK(index >= 0 && index < classes, "target: got class ", index, ", the model gives ", classes,
                " classes (0 to ", classes - 1, ")");
  }

  /// `[N]` as `[N, 1]`.
  static at::Tensor as_classes(const at::Tensor& output) { return output.dim() == 1 ? output.unsqueeze(1) : output; }

  static void check_output(const at::Tensor& output) {
    TORCH_CHECK(output.dim() == 2, "target: a class needs an output [N, classes], got ", output.sizes(),
                "; use Target::segmentation, Target::box, or a function of the output");
  }

  static at::Tensor predicted(const at::Tensor& output) {
    check_output(output);
    return output.detach().argmax(1);
  }

  static Classes constant(int64_t index) {
    return [index](const at::Tensor& output) {
      check_output(output);
      check_index(index, output.size(1));
      return at::full({output.size(0)}, index, output.options().dtype(at::kLong).requires_grad(false));
    };
  }

  static Classes from_tensor(at::Tensor indices) {
    TORCH_CHECK(
        indices.defined() && indices.dim() == 1 && at::isIntegralType(indices.scalar_type(), false) &&
            indices.numel() > 0,
        "target: class indices must be an int64 tensor [N], got ",
        indices.defined() ? c10::str(indices.scalar_type(), " ", indices.sizes()) : std::string("an undefined tensor"));
    const auto lowest = indices.min().item<int64_t>();
    const auto highest = indices.max().item<int64_t>();
    // Autograd saves them, which it cannot do with inference tensors.
    const detail::Saveable saveable;
    return [indices = indices.to(at::kLong, /*non_blocking=*/false, /*copy=*/true), lowest,
            highest](const at::Tensor& output) {
      check_output(output);
      TORCH_CHECK(indices.size(0) == output.size(0), "target: got ", indices.size(0), " class indices for a batch of ",
                  output.size(0), "; give one an image, or one for all");
      check_index(lowest, output.size(1));
      check_index(highest, output.size(1));
      return detail::moved_to(output.device(), indices);
    };
  }

  /// Indices that have been checked, or that an output gave: a GPU is not waited for to look at them.
  static Classes known(at::Tensor indices) {
    if (indices.is_inference()) {
      const detail::Saveable saveable;
      indices = indices.clone();
    }
    return [indices = std::move(indices)](const at::Tensor& output) {
      check_output(output);
      return detail::moved_to(output.device(), indices);
    };
  }

  static Score score_of(Classes classes) {
    return [classes = std::move(classes)](const at::Tensor& output) {
      return output.gather(1, classes(output).unsqueeze(1)).squeeze(1);
    };
  }

  std::shared_ptr<const Rule> rule_;
};

}  // namespace sightglass
