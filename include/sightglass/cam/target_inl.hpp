#pragma once

#include "sightglass/cam/target.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE Target::Target() : Target("the prediction", predicted, nullptr, chosen_from(predicted)) {}

SIGHTGLASS_INLINE Target::Target(const at::Tensor& indices)
    : Target(from_tensor(indices), chosen_from(from_tensor(indices))) {}

SIGHTGLASS_INLINE Target Target::softmax(int64_t index) {
  const Classes classes = constant(index);
  return {"softmax of class " + std::to_string(index), classes, [score = score_of(classes)](const at::Tensor& output) {
            check_output(output);
            return score(at::softmax(output, 1));
          }};
}

SIGHTGLASS_INLINE Target Target::difference(int64_t index, const std::vector<int64_t>& others, double alpha) {
  TORCH_CHECK(!others.empty(), "others: got no classes; give those to compare with");
  const Classes classes = constant(index);
  return {"class " + std::to_string(index) + " against others", classes,
          [score = score_of(classes), others, alpha](const at::Tensor& output) {
            at::Tensor rest = at::zeros_like(score(output));
            for (const int64_t other : others) rest = rest + score_of(constant(other))(output);
            return score(output) - rest * (alpha / static_cast<double>(others.size()));
          }};
}

SIGHTGLASS_INLINE Target Target::difference(const at::Tensor& own, const at::Tensor& others, double alpha) {
  TORCH_CHECK(own.dim() == 1 && others.dim() == 2 && others.size(0) == own.size(0) && others.size(1) > 0,
              "own, others: got ", own.sizes(), " and ", others.sizes(), ", expected [N] and [N, K]");
  return difference_of(from_tensor(own), others, alpha);
}

SIGHTGLASS_INLINE Target Target::segmentation(int64_t index, const at::Tensor& mask) {
  return {"class " + std::to_string(index) + " within the mask", nullptr,
          [index, mask](const at::Tensor& output) {
            TORCH_CHECK(output.dim() >= 3, "target: a segmentation target needs an output [N, classes, *S], got ",
                        output.sizes());
            check_index(index, output.size(1));
            const at::Tensor plane = output.select(1, index);
            TORCH_CHECK(mask.sizes() == plane.sizes() || mask.sizes() == plane.sizes().slice(1), "mask: got ",
                        mask.sizes(), ", expected [*S] or [N, *S] of the output's ", plane.sizes());
            return (plane * detail::moved_to(plane.device(), mask).ne(0).to(plane.dtype())).flatten(1).sum(1);
          },
          [index, mask](const at::Tensor& output, const at::Tensor& images) {
            const bool for_each = mask.dim() == output.dim() - 1;
            return segmentation(index, for_each ? mask.index_select(0, detail::moved_to(mask.device(), images)) : mask);
          }};
}

SIGHTGLASS_INLINE Target Target::box(int64_t box_index, int64_t index) {
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

SIGHTGLASS_INLINE at::Tensor Target::scores(const at::Tensor& output) const {
  at::Tensor score = is_output_at_class() ? score_of(rule_->classes)(as_classes(output)) : rule_->score(output);
  TORCH_CHECK(score.defined() && score.dim() == 1 && score.size(0) == output.size(0), "target: ", rule_->name,
              " must give one number an image, [", output.size(0), "]; got ",
              score.defined() ? c10::str(score.sizes()) : std::string("nothing"));
  return score;
}

SIGHTGLASS_INLINE at::Tensor Target::classes(const at::Tensor& output) const {
  return has_class() ? rule_->classes(as_classes(output))
                     : at::full({output.size(0)}, -1, output.options().dtype(at::kLong).requires_grad(false));
}

SIGHTGLASS_INLINE Target Target::of(const at::Tensor& output, const at::Tensor& images) const {
  return rule_->of == nullptr ? *this : rule_->of(has_class() ? as_classes(output) : output, images);
}

SIGHTGLASS_INLINE Target::Target(std::string name, Classes classes, Score score, Of of)
    : rule_(std::make_shared<const Rule>(Rule{std::move(name), std::move(classes), std::move(score), std::move(of)})) {}

SIGHTGLASS_INLINE Target::Target(const Classes& classes, Of of)
    : Target("the class", classes, nullptr, std::move(of)) {}

SIGHTGLASS_INLINE Target::Of Target::chosen_from(const Classes& classes) {
  return [classes](const at::Tensor& output, const at::Tensor& images) {
    const Classes chosen = known(classes(output).index_select(0, detail::moved_to(output.device(), images)));
    return Target(chosen, chosen_from(chosen));
  };
}

SIGHTGLASS_INLINE Target Target::difference_of(const Classes& classes, const at::Tensor& others, double alpha) {
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

SIGHTGLASS_INLINE void Target::check_index(int64_t index, int64_t classes) {
  TORCH_CHECK(index >= 0 && index < classes, "target: got class ", index, ", the model gives ", classes,
              " classes (0 to ", classes - 1, ")");
}

SIGHTGLASS_INLINE at::Tensor Target::as_classes(const at::Tensor& output) {
  return output.dim() == 1 ? output.unsqueeze(1) : output;
}

SIGHTGLASS_INLINE void Target::check_output(const at::Tensor& output) {
  TORCH_CHECK(output.dim() == 2, "target: a class needs an output [N, classes], got ", output.sizes(),
              "; use Target::segmentation, Target::box, or a function of the output");
}

SIGHTGLASS_INLINE at::Tensor Target::predicted(const at::Tensor& output) {
  check_output(output);
  return output.detach().argmax(1);
}

SIGHTGLASS_INLINE Target::Classes Target::constant(int64_t index) {
  return [index](const at::Tensor& output) {
    check_output(output);
    check_index(index, output.size(1));
    return at::full({output.size(0)}, index, output.options().dtype(at::kLong).requires_grad(false));
  };
}

SIGHTGLASS_INLINE Target::Classes Target::from_tensor(const at::Tensor& indices) {
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

SIGHTGLASS_INLINE Target::Classes Target::known(at::Tensor indices) {
  if (indices.is_inference()) {
    const detail::Saveable saveable;
    indices = indices.clone();
  }
  return [indices = std::move(indices)](const at::Tensor& output) {
    check_output(output);
    return detail::moved_to(output.device(), indices);
  };
}

SIGHTGLASS_INLINE Target::Score Target::score_of(Classes classes) {
  return [classes = std::move(classes)](const at::Tensor& output) {
    return output.gather(1, classes(output).unsqueeze(1)).squeeze(1);
  };
}

}  // namespace sightglass
