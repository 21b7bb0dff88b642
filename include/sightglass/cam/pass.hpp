#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/reshaped.hpp"
#include "sightglass/model/detail/layout.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/model/detail/tails.hpp"
#include "sightglass/cam/target.hpp"
#include "sightglass/trace/observers/last_linear.hpp"
#include "sightglass/trace/tensors.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

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
    const detail::NoGraphYet no_graph_yet;
    const auto tracker = detail::Tracker::of_thread();
    for (const Layer& layer : layers) {
      layers_.push_back(model.layer(layer));
      points_.push_back(std::make_shared<detail::CutPoint>(layers_.back(), points_.size(), tracker));
    }
    input_ = input.is_inference() ? input.clone() : input.detach();
    input_size_ = input.sizes().slice(2).vec();
    const bool in_parts = tail == Tail::once || model.splits_hold_for_any_batch();
    if (in_parts) split_ = model.split(layers_, input_);
    if (split_ == nullptr || !model.splits_know_training()) model.check_evaluation();
    if (split_ != nullptr) {
      run_in_parts();
    } else {
      run_whole(tail);
    }
    check_run();
    if (split_ == nullptr && model.wants_split(layers_, input_)) {
      model.learn_split(
          layers_, input_, [this](const void* place) { return activations_at(place); }, output());
    }
  }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

  /// The model's output, without its graph.
  at::Tensor output() const { return output_.detach(); }
  size_t size() const { return points_.size(); }
  const std::string& layer_name(size_t layer) const { return points_.at(layer)->name(); }

  /// Whether runs of what lies behind the layer number `layer` cost no more than that; else they are run in full.
  bool elided(size_t layer) const { return stands_at_split(layer) || tails().elides(layer); }

  /// Explains the layer number `layer` (from 0, in the order given) by `method`, any callable `Cut -> [N, *S]`.
  template <class Method>
  Explanation explain(size_t layer, const Method& method, const Target& target = {}) const {
    const Cut cut = at(layer, target);
    const detail::NoGraph no_graph;
    at::Tensor map = method(cut);
    const Cut given = cut.as_given();
    const at::Tensor activations = given.activations();
    const int64_t dims = map.defined() ? map.dim() : 0;
    const bool fits = dims >= 2 && dims <= 4 && map.sizes() != activations.sizes();
    TORCH_CHECK(fits && map.size(0) == activations.size(0), "method: came a map ",
                map.defined() ? c10::str(map.sizes()) : std::string("that is undefined"), " for activations ",
                activations.sizes(), "; expected [N, *S]");
    at::Tensor gradient_size;
    if (cut.used_gradients() || given.used_gradients()) gradient_size = given.gradients().flatten(1).abs().amax(1);
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
    return seen_as_maps(std::move(cut), layer);
  }

 private:
  /// Channels last and tokens in the shape that methods work on.
  Cut seen_as_maps(Cut cut, size_t layer) const {
    const auto layout = detail::LayoutStore::global().find(layers_[layer], input_.sizes());
    if (layout == nullptr) return cut;
    cut.problem_ = layout->problem;
    if (!layout->reshape) return cut;
    return detail::reshaped(cut, *layout->reshape);
  }

  static at::Tensor run(const Model& model, const at::Tensor& input) {
    try {
      return model.forward(input);
    } catch (...) {
      model.check_differentiable();
      throw;
    }
  }

  /// Says what an exported model lacks, where `differentiate` finds an operation without a derivative.
  template <class Differentiate>
  static auto differentiated(Differentiate&& differentiate) {
    try {
      return differentiate();
    } catch (const std::exception& error) {
      const std::string message = detail::one_line(error.what());
      const size_t at = message.find("derivative for ");
      if (at == std::string::npos) throw;
      TORCH_CHECK(
          false, "model: it was exported for inference only, by an operation that has no derivative (",
          message.substr(at + 15, message.find(' ', at + 15) - at - 15),
          "); export it with gradients on (no torch.no_grad() around torch.jit.trace), or after "
          "torch.backends.mha.set_fastpath_enabled(False); methods without gradients (eigen-cam) work as it is");
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
      const detail::NoGraph no_graph;
      return target_.of(pass_.output(), images).scores(pass_.output_for(input.to(pass_.input_.dtype())));
    }
    at::Tensor scores_with(const at::Tensor& activations, const at::Tensor& images) override {
      const detail::NoGraph no_graph;
      return target_.of(pass_.output(), images).scores(output_with(activations, images));
    }
    at::Tensor output_with(const at::Tensor& activations, const at::Tensor& images) override {
      const detail::NoGraph no_graph;
      const at::Tensor given = activations.to(pass_.points_[layer_]->activations().options());
      return pass_.run_tail(layer_, given, images);
    }
    at::Tensor input_gradients(const at::Tensor& input, const at::Tensor& images) override {
      const detail::WithGraph with_graph;
      const at::Tensor leaf = input.detach().to(pass_.input_.dtype()).clone().requires_grad_();
      const at::Tensor score = target_.of(pass_.output(), images).scores(run(pass_.model_, leaf));
      return differentiated([&] { return torch::autograd::grad({score.sum()}, {leaf}).front(); });
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
      const detail::WithGraph with_graph;
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
    const detail::WithGraph with_graph;
    std::vector<at::Tensor> handles;
    for (const auto& point : points_) handles.push_back(point->handle());
    std::vector<at::Tensor> found = differentiated([&] {
      return detail::gradients_of(evidence.score, output_, handles,
                                  is_row_of_output(evidence.target) ? evidence.classes : at::Tensor());
    });
    for (size_t i = 0; i < found.size(); ++i) {
      const at::Tensor& activations = points_[i]->activations();
      const auto dtype = detail::map_dtype(activations);
      found[i] =
          found[i].defined() ? found[i].detach().to(dtype) : at::zeros_like(activations, at::TensorOptions(dtype));
    }
    evidence.gradients = std::move(found);
    return evidence.gradients;
  }

  /// The score of a class is a number of the output itself, so that its gradient may be read off the last layer.
  bool is_row_of_output(const Target& target) const { return target.is_output_at_class() && output_.dim() == 2; }

  at::Tensor hessian_times(const Evidence& evidence, size_t layer, const at::Tensor& vector) const {
    const detail::WithGraph with_graph;
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

  /// The forward pass as it is, with everybody at their layers.
  void run_whole(Tail tail) {
    const auto tracker = detail::Tracker::of_thread();
    std::vector<detail::Watch> watches;
    for (size_t i = 0; i < size(); ++i) watches.push_back(model_.watch(points_[i], layers_[i]));
    if (tail == Tail::again) tape_ = std::make_unique<detail::Tape>(input_, size());
    const detail::Tracker::Taping taping(tracker, tape_.get());
    if (knows_layouts()) {
      output_ = run(model_, input_);
      return;
    }
    detail::AxisObserver observer;
    {
      const detail::Observed listening(observer);
      output_ = run(model_, input_);
    }
    for (size_t i = 0; i < size(); ++i) {
      auto layout = detail::layout_of(points_[i]->activations().sizes(), points_[i]->axes(observer), input_.sizes(),
                                      observer.grids());
      detail::LayoutStore::global().put(layers_[i], input_.sizes(),
                                        std::make_shared<const detail::Layout>(std::move(layout)));
    }
  }

  bool knows_layouts() const {
    return std::all_of(layers_.begin(), layers_.end(), [this](const Layer& layer) {
      return detail::LayoutStore::global().find(layer, input_.sizes()) != nullptr;
    });
  }

  /// The same in the two parts of an optimised model. Later layers are told by marks in the second.
  void run_in_parts() {
    std::vector<at::Tensor> outputs{split_->prefix(input_)};
    std::vector<detail::Watch> watches;
    for (size_t i = 0; i < size(); ++i) {
      if (stands_at_split(i)) {
        points_[i]->leave({}, outputs);
      } else {
        watches.emplace_back(points_[i], layers_[i], detail::Watch::By::marks);
      }
    }
    output_ = split_->tail(outputs.front(), input_);
  }

  bool stands_at_split(size_t layer) const {
    return split_ != nullptr && layers_[layer].place().key == split_->place();
  }

  void check_run() const {
    TORCH_CHECK(output_.defined() && output_.dim() >= 1, "model: it gives ",
                output_.defined() ? "one number" : "an undefined tensor",
                "; expected an output for each image, [N, ...]");
    for (const auto& point : points_) {
      point->check();
      TORCH_CHECK(point->activations().size(0) == output_.size(0), "layer \"", point->name(), "\": its output ",
                  point->activations().sizes(), " has another batch size than the model's ", output_.sizes(),
                  "; its rows are not the pictures (windows or patches are folded into them): take a layer around it");
    }
  }

  at::Tensor activations_at(const void* place) const {
    for (size_t i = 0; i < size(); ++i) {
      if (layers_[i].place().key == place) return points_[i]->activations();
    }
    return {};
  }

  /// The model's output for another input, without gradients.
  at::Tensor output_for(const at::Tensor& input) const {
    if (const auto split = model_.split(layers_, input)) return split->tail(split->prefix(input), input);
    if (model_.wants_split(layers_, input)) return Pass(model_, input, layers_).output();
    return run(model_, input);
  }

  /// The model's output when the layer gives `activations`, for rows `images` of the input.
  at::Tensor run_tail(size_t layer, const at::Tensor& activations, const at::Tensor& images) const {
    if (!stands_at_split(layer)) return tails().run(layer, activations, images);
    if (!split_->tail_reads_input()) return split_->tail(activations, input_);
    return split_->tail(activations, input_.index_select(0, detail::moved_to(input_.device(), images)));
  }

  detail::Tails& tails() const {
    if (tails_ == nullptr) {
      if (tape_ == nullptr) tape_ = std::move(Pass(model_.plain(), input_, layers_, Tail::again).tape_);
      tails_ = std::make_unique<detail::Tails>(model_, input_, layers_, points_, output(), std::move(tape_));
    }
    return *tails_;
  }

  Model model_;
  std::vector<Layer> layers_;
  std::shared_ptr<const detail::Split> split_;  // null where the model runs as it is
  at::Tensor input_;
  std::vector<std::shared_ptr<detail::CutPoint>> points_;
  at::Tensor output_;
  std::vector<int64_t> input_size_;
  mutable std::map<const void*, std::shared_ptr<Evidence>> evidence_;
  mutable std::unique_ptr<detail::Tape> tape_;
  mutable std::unique_ptr<detail::Tails> tails_;
};

}  // namespace sightglass
