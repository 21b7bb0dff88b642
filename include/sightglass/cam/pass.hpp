#pragma once

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/model.hpp"
#include "sightglass/cam/target.hpp"

namespace sightglass {

/// Whether what lies behind a layer will be run again, with other activations.
enum class Tail { once, again };

/// One forward pass, kept open at its layers, from which any number of methods and targets are explained: the forward
/// pass is paid once, the backward pass (from the output to the earliest layer only) once a target.
///
/// Nothing before the earliest layer has a graph, parameters get no `.grad`, nothing of the model changes. The model
/// must be in evaluation mode. A layer that runs several times in one forward is taken at its last call.
class Pass {
 public:
  /// `input` `[N, ...]`, as the model takes it. Throws when a layer does not run or gives no `[N, C, *S]`.
  /// With `Tail::again`, what lies behind a layer can be run again at the price of what lies behind it; else the first
  /// such run costs a pass more.
  Pass(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers, Tail tail = Tail::once)
      : model_(model) {
    TORCH_CHECK(input.defined() && input.dim() >= 2 && input.size(0) > 0, "input: came ",
                input.defined() ? c10::str(input.sizes()) : std::string("an undefined tensor"),
                "; expected a batch [N, C, *S]");
    TORCH_CHECK(!layers.empty(), "layers: came none; give at least one");
    model.check_evaluation();
    const c10::InferenceMode gradients_are_possible(false);
    const at::AutoGradMode no_graph_yet(false);
    const auto tracker = detail::Tracker::of_thread();
    std::vector<detail::Watch> watches;
    for (const Layer& given : layers) {
      const Layer layer = model.layer(given);
      layers_.push_back(layer);
      points_.push_back(std::make_shared<detail::CutPoint>(layer.name(), points_.size(), tracker));
      watches.push_back(model.watch(points_.back(), layer));
    }
    input_ = input.is_inference() ? input.clone() : input.detach();
    input_size_ = input.sizes().slice(2).vec();
    if (tail == Tail::again) tape_ = std::make_unique<detail::Tape>(input_, layers.size());
    {
      const detail::Tracker::Taping taping(tracker, tape_.get());
      output_ = run(model, input_);
    }
    TORCH_CHECK(output_.defined() && output_.dim() >= 1, "model: it gives ",
                output_.defined() ? "one number" : "an undefined tensor",
                "; expected an output for each image, [N, ...]");
    for (const auto& point : points_) {
      point->check();
      TORCH_CHECK(point->activations().size(0) == output_.size(0), "layer \"", point->name(), "\": its output ",
                  point->activations().sizes(), " has another batch size than the model's ", output_.sizes());
    }
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// The model's output, without its graph.
  at::Tensor output() const { return output_.detach(); }
  size_t size() const { return points_.size(); }
  const std::string& layer_name(size_t layer) const { return points_.at(layer)->name(); }

  /// Whether runs of what lies behind the layer number `layer` cost no more than that; else they are run in full.
  bool elided(size_t layer) const { return elides(layer); }

  /// Explains the layer number `layer` (from 0, in the order given) by `method`, any callable `Cut -> [N, *S]`.
  template <class Method>
  Explanation explain(size_t layer, const Method& method, const Target& target = {}) const {
    const Cut cut = at(layer, target);
    const at::NoGradGuard no_gradients;
    at::Tensor map = method(cut);
    const at::Tensor activations = cut.activations();
    const int64_t dims = map.defined() ? map.dim() : 0;
    const bool fits = dims >= 2 && dims <= 4 && map.sizes() != activations.sizes();
    TORCH_CHECK(fits && map.size(0) == activations.size(0), "method: came a map ",
                map.defined() ? c10::str(map.sizes()) : std::string("that is undefined"), " for activations ",
                activations.sizes(), "; expected [N, *S]");
    at::Tensor gradient_size;
    if (cut.used_gradients()) gradient_size = at::linalg_vector_norm(cut.gradients().flatten(1), INFINITY, 1);
    return {std::move(map), cut.scores(), cut.classes(), input_size_, std::move(gradient_size)};
  }

  /// What a method is given for a layer and a target.
  Cut at(size_t layer, const Target& target = {}) const {
    TORCH_CHECK(layer < points_.size(), "layer: came number ", layer, ", the pass has ", points_.size());
    const std::shared_ptr<Evidence> evidence = evidence_for(target);
    Cut cut;
    const at::Tensor& activations = points_[layer]->activations();
    cut.activations_ = activations.to(detail::map_dtype(activations));
    cut.scores_ = evidence->score.detach();
    cut.classes_ = evidence->classes;
    cut.has_class_ = target.has_class();
    cut.output_ = output();
    cut.model_ = &model_;
    cut.layer_name_ = points_[layer]->name();
    cut.source_ = std::make_shared<Source>(*this, target, evidence, layer);
    return cut;
  }

 private:
  static at::Tensor run(const Model& model, const at::Tensor& input) {
    try {
      return model.forward(input);
    } catch (...) {
      model.check_differentiable();
      throw;
    }
  }

  struct Evidence {
    Target target;
    at::Tensor score;
    at::Tensor classes;
    std::vector<at::Tensor> gradients;
  };

  /// The means to run again; valid while the pass is.
  class Source final : public detail::CutSource {
   public:
    Source(const Pass& pass, Target target, std::shared_ptr<Evidence> evidence, size_t layer)
        : pass_(pass), target_(std::move(target)), evidence_(std::move(evidence)), layer_(layer) {}

    at::Tensor gradients() override { return pass_.gradients(*evidence_).at(layer_); }
    at::Tensor hessian_times(const at::Tensor& vector) override {
      return pass_.hessian_times(*evidence_, layer_, vector);
    }
    at::Tensor input() override { return pass_.input_; }
    Target target() override { return target_; }
    Cut with_target(const Target& target) override { return pass_.at(layer_, target); }
    Cut again(const at::Tensor& input, const at::Tensor& images) override {
      const Target target = target_.of(pass_.output(), images);
      auto pass = std::make_shared<const Pass>(pass_.model_, input, std::vector<Layer>{pass_.layers_[layer_]});
      Cut cut = pass->at(0, target);
      cut.owner_ = std::move(pass);
      return cut;
    }
    at::Tensor scores_of(const at::Tensor& input, const at::Tensor& images) override {
      const at::NoGradGuard no_gradients;
      return target_.of(pass_.output(), images).scores(run(pass_.model_, input.to(pass_.input_.dtype())));
    }
    at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) override {
      const at::NoGradGuard no_gradients;
      return target_.of(pass_.output(), images).scores(output_with(activations, images));
    }
    at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) override {
      const at::NoGradGuard no_gradients;
      const at::Tensor given = activations.to(pass_.points_[layer_]->activations().options());
      return pass_.run_tail(layer_, given, images);
    }
    at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) override {
      const c10::InferenceMode gradients_are_possible(false);
      const at::AutoGradMode with_graph(true);
      const at::Tensor leaf = input.detach().to(pass_.input_.dtype()).clone().requires_grad_();
      const at::Tensor score = target_.of(pass_.output(), images).scores(run(pass_.model_, leaf));
      return torch::autograd::grad({score.sum()}, {leaf}).front();
    }

   private:
    const Pass& pass_;
    Target target_;
    std::shared_ptr<Evidence> evidence_;
    size_t layer_;
  };

  std::shared_ptr<Evidence> evidence_for(const Target& target) const {
    std::shared_ptr<Evidence>& evidence = evidence_[target.id()];
    if (evidence == nullptr) {
      const c10::InferenceMode gradients_are_possible(false);
      const at::AutoGradMode with_graph(true);
      evidence = std::make_shared<Evidence>(Evidence{target, target.scores(output_), target.classes(output_), {}});
    }
    return evidence;
  }

  const std::vector<at::Tensor>& gradients(Evidence& evidence) const {
    if (!evidence.gradients.empty()) return evidence.gradients;
    TORCH_CHECK(evidence.score.requires_grad(), "target: its score has no gradient with respect to layer \"",
                points_.front()->name(),
                "\": the model (or the target function) works without gradients after it, by a "
                "NoGradGuard, detach() or integers");
    const c10::InferenceMode gradients_are_possible(false);
    const at::AutoGradMode with_graph(true);
    std::vector<at::Tensor> handles;
    for (const auto& point : points_) handles.push_back(point->handle());
    std::vector<at::Tensor> found =
        torch::autograd::grad({evidence.score}, handles, {at::ones_like(evidence.score)}, /*retain_graph=*/true,
                              /*create_graph=*/false, /*allow_unused=*/true);
    for (size_t i = 0; i < found.size(); ++i) {
      const at::Tensor& activations = points_[i]->activations();
      const auto dtype = detail::map_dtype(activations);
      found[i] =
          found[i].defined() ? found[i].detach().to(dtype) : at::zeros_like(activations, at::TensorOptions(dtype));
    }
    evidence.gradients = std::move(found);
    return evidence.gradients;
  }

  at::Tensor hessian_times(const Evidence& evidence, size_t layer, const at::Tensor& vector) const {
    const c10::InferenceMode gradients_are_possible(false);
    const at::AutoGradMode with_graph(true);
    const at::Tensor& handle = points_[layer]->handle();
    const at::Tensor first = torch::autograd::grad({evidence.score.sum()}, {handle}, {}, /*retain_graph=*/true,
                                                   /*create_graph=*/true, /*allow_unused=*/true)
                                 .front();
    at::Tensor second;
    if (first.defined() && first.requires_grad()) {
      second = torch::autograd::grad({(first * vector.to(first.dtype())).sum()}, {handle}, {}, /*retain_graph=*/true,
                                     /*create_graph=*/false, /*allow_unused=*/true)
                   .front();
    }
    return second.defined() ? second.detach().to(vector.dtype()) : at::zeros_like(vector);
  }

  /// The model's output when the layer gives `activations`, for rows `images` of the input.
  at::Tensor run_tail(size_t layer, const at::Tensor& activations, const at::Tensor& images) const {
    const at::Tensor rows = images.to(input_.device());
    if (elides(layer)) {
      at::Tensor output = run_elided(layer, activations, rows);
      if (output.defined()) return output;
    }
    const auto replacement = std::make_shared<detail::Replacement>(activations.clone());
    const detail::Watch watch = model_.watch(replacement, layers_[layer]);
    at::Tensor output = run(model_, input_.index_select(0, rows));
    replacement->check(layers_[layer].name());
    return output;
  }

  /// Undefined where the run cannot be elided.
  at::Tensor run_elided(size_t layer, const at::Tensor& activations, const at::Tensor& rows) const {
    const detail::Tape& tape = *tape_;
    detail::Elision elision(tape, layer, tape.cut(layer).written ? activations.clone() : activations, rows);
    std::vector<int64_t> sizes = input_.sizes().vec();
    sizes[0] = rows.size(0);
    const at::Tensor input =
        tape.reads_input() ? input_.index_select(0, rows) : detail::empty_shell(sizes, input_.options());
    try {
      const detail::ListenerScope listening(elision);
      at::Tensor output = model_.forward(input);
      return elision.reached_cut() ? output : at::Tensor();
    } catch (...) {
      if (elision.failure().empty()) throw;
      return {};
    }
  }

  /// Whether runs behind `layer` can be elided: told once, by a run on another batch size than the recorded one.
  bool elides(size_t layer) const {
    if (tape_ == nullptr) tape_ = Pass(model_, input_, layers_, Tail::again).take_tape();
    if (elides_.empty()) elides_.resize(layers_.size(), Elides::unknown);
    Elides& known = elides_[layer];
    if (known == Elides::unknown) {
      known = Elides::no;
      const at::Tensor& activations = points_[layer]->activations();
      if (tape_->cut(layer).found && activations.sizes() == tape_->made_at(layer)) {
        const int64_t last = activations.size(0) - 1;
        const at::Tensor rows =
            at::tensor(last == 1 ? std::vector<int64_t>{1, 0, 1} : std::vector<int64_t>{last, 0}, at::kLong)
                .to(activations.device());
        const at::Tensor output = run_elided(layer, activations.index_select(0, rows), rows);
        const at::Tensor wanted = output_.detach().index_select(0, rows);
        const bool agrees = output.defined() && output.sizes() == wanted.sizes() &&
                            (output - wanted).abs().max().item<double>() <= 1e-3 * wanted.abs().max().item<double>();
        if (agrees) known = Elides::yes;
      }
    }
    return known == Elides::yes;
  }

  std::unique_ptr<detail::Tape> take_tape() { return std::move(tape_); }

  enum class Elides { unknown, yes, no };

  Model model_;
  std::vector<Layer> layers_;
  mutable std::unique_ptr<detail::Tape> tape_;
  mutable std::vector<Elides> elides_;
  at::Tensor input_;
  std::vector<std::shared_ptr<detail::CutPoint>> points_;
  at::Tensor output_;
  std::vector<int64_t> input_size_;
  mutable std::map<const void*, std::shared_ptr<Evidence>> evidence_;
};

}  // namespace sightglass
