#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <utility>
#include <vector>

#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/elision.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// The output of a whole run of the model in which `layer` gives a copy of `activations` at its call number `call`.
inline at::Tensor forward_with(const Model& model, const at::Tensor& input, const Layer& layer,
                               const at::Tensor& activations, size_t call = 1) {
  const auto replacement = std::make_shared<Replacement>(layer, activations.clone(), call);
  const Watch watch = model.watch(replacement, layer);
  at::Tensor output = model.forward(input);
  replacement->check();
  return output;
}

/// What lies behind the layers of one pass, run again with other activations: without what lies before the layer where
/// that can be, else in full.
class Tails {
 public:
  /// The pass: `points` stood at `layers` while the model ran on `input` and gave `output`; `tape` is of a run on the
  /// same input.
  Tails(const Model& model, at::Tensor input, std::vector<Layer> layers, std::vector<std::shared_ptr<CutPoint>> points,
        at::Tensor output, std::unique_ptr<Tape> tape)
      : model_(model.plain()),
        input_(std::move(input)),
        layers_(std::move(layers)),
        points_(std::move(points)),
        output_(std::move(output)),
        tape_(std::move(tape)),
        elides_(layers_.size(), Elides::unknown) {}

  /// The model's output when the layer number `layer` gives `activations`, for rows `images` of the input.
  at::Tensor run(size_t layer, const at::Tensor& activations, const at::Tensor& images) {
    const at::Tensor rows = moved_to(input_.device(), images);
    if (elides(layer)) {
      at::Tensor output = run_elided(layer, activations, rows);
      if (output.defined()) return output;
    }
    return forward_with(model_, input_.index_select(0, rows), layers_[layer], activations, points_[layer]->calls());
  }

  /// Whether runs behind `layer` can be elided: told once, by a run on another batch size than the recorded one.
  bool elides(size_t layer) {
    Elides& known = elides_[layer];
    if (known == Elides::unknown) known = try_eliding(layer) ? Elides::yes : Elides::no;
    return known == Elides::yes;
  }

 private:
  enum class Elides { unknown, yes, no };

  bool try_eliding(size_t layer) {
    const at::Tensor& activations = points_[layer]->activations();
    if (!tape_->cut(layer).found || activations.sizes() != tape_->made_at(layer)) return false;
    const int64_t last = activations.size(0) - 1;
    const at::Tensor rows =
        moved_to(activations.device(),
                 at::tensor(last == 1 ? std::vector<int64_t>{1, 0, 1} : std::vector<int64_t>{last, 0}, at::kLong));
    return agrees(run_elided(layer, activations.index_select(0, rows), rows), output_.index_select(0, rows));
  }

  /// Undefined where the run cannot be elided.
  at::Tensor run_elided(size_t layer, const at::Tensor& activations, const at::Tensor& rows) const {
    Elision elision(*tape_, layer, tape_->cut(layer).written ? activations.clone() : activations, rows);
    std::vector<int64_t> sizes = input_.sizes().vec();
    sizes[0] = rows.size(0);
    const at::Tensor input = tape_->reads_input() ? input_.index_select(0, rows) : empty_shell(sizes, input_.options());
    try {
      const Observed listening(elision);
      at::Tensor output = model_.forward(input);
      return elision.reached_cut() ? output : at::Tensor();
    } catch (...) {
      if (elision.failure().empty()) throw;
      return {};
    }
  }

  Model model_;
  at::Tensor input_;
  std::vector<Layer> layers_;
  std::vector<std::shared_ptr<CutPoint>> points_;
  at::Tensor output_;
  std::unique_ptr<Tape> tape_;
  std::vector<Elides> elides_;
};

}  // namespace sightglass::detail
