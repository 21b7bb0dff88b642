#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/model/detail/layout.hpp"
#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// A layer as it ran: its name, type and the shape of its output at its last call.
struct LayerInfo {
  std::string name;
  std::string type;
  std::vector<int64_t> shape;
  /// `[N, C, *S]`: the output as methods see it, where that is another shape (channels last, tokens).
  std::vector<int64_t> maps = {};

  /// True where the output is seen as `[N, C, *S]` with at least two places: what a map can be drawn of.
  bool is_spatial() const {
    const std::vector<int64_t>& seen = maps.empty() ? shape : maps;
    int64_t places = 1;
    for (size_t d = 2; d < seen.size(); ++d) places *= seen[d];
    return seen.size() >= 3 && seen.size() <= 5 && places > 1;
  }
};

/// Where a model is explained unless told otherwise.
struct Suggestion {
  std::string layer;
  /// Why a map from there says little; empty where nothing speaks against it.
  std::string warning;
};

namespace detail {

/// A layer's output in a run.
struct SeenLayer {
  LayerInfo info;
  TensorRef output;
  Layout layout;
};

/// Notes each output of its layer.
class ShapeNote final : public Subscriber {
 public:
  ShapeNote(const Layer& layer, std::vector<SeenLayer>& into)
      : name_(layer.name()), type_(layer.type()), wanted_(layer.place().output), into_(into) {}
  bool wants_inputs() const override { return false; }
  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    const auto same = [&](const SeenLayer& seen) { return seen.info.name == name_; };
    into_.erase(std::remove_if(into_.begin(), into_.end(), same), into_.end());
    if (outputs.empty()) return;
    const at::Tensor& output = outputs[chosen_of(name_, wanted_, outputs, {})];
    if (output.defined()) into_.push_back({{name_, type_, output.sizes().vec()}, TensorRef(output), {}});
  }
  void miss(const std::string& /*why*/) override {}

 private:
  std::string name_;
  std::string type_;
  std::string wanted_;
  std::vector<SeenLayer>& into_;
};

struct LayerList {
  std::vector<SeenLayer> layers;  ///< in the order in which they end
  at::Tensor output;
};

inline LayerList run_and_list(const Model& model, const at::Tensor& input) {
  model.check_evaluation();
  LayerList list;
  const detail::NoGraph no_graph;
  std::vector<Watch> watches;
  for (const Layer& layer :
       model.find_layers([](const Layer& candidate) { return candidate.place().problem.empty(); })) {
    watches.push_back(model.watch(std::make_shared<ShapeNote>(layer, list.layers), layer));
  }
  AxisObserver observer;
  {
    const Observed listening(observer);
    list.output = model.forward(input);
  }
  for (SeenLayer& seen : list.layers) {
    seen.layout = layout_of(seen.info.shape, observer.axes_of(seen.output.impl()), input.sizes(), observer.grids());
    if (seen.layout.reshape) seen.info.maps = seen.layout.shape;
  }
  return list;
}

/// The layers of a list at which a model may be explained.
class Candidates {
 public:
  Candidates(const Model& model, const at::Tensor& input, const LayerList& list)
      : model_(model), input_(input), list_(list) {}

  std::optional<Suggestion> best() const {
    for (const bool known : {true, false}) {
      std::vector<const SeenLayer*> candidates;
      for (const SeenLayer& seen : list_.layers) {
        if (serves(seen) && seen.layout.known == known) candidates.push_back(&seen);
      }
      const SeenLayer* const found = last_that_matters(candidates);
      if (found != nullptr) return Suggestion{found->info.name, warning_for(*found)};
    }
    return std::nullopt;
  }

 private:
  /// Its rows are the pictures, its map is of the input's proportions and not made of class scores, and its layer does
  /// something.
  bool serves(const SeenLayer& seen) const {
    const std::vector<int64_t>& shape = seen.layout.shape;
    const std::string& type = seen.info.type;
    const bool passes_through = type.find("Dropout") != std::string::npos || type.find("Identity") != std::string::npos;
    const bool class_scores = list_.output.dim() == 2 && shape.size() > 1 && shape[1] == list_.output.size(1);
    return static_cast<int64_t>(shape.size()) == input_.dim() && shape[0] == input_.size(0) && seen.info.is_spatial() &&
           !passes_through && !class_scores && has_proportions(shape);
  }

  bool has_proportions(const std::vector<int64_t>& shape) const {
    if (shape.size() != 4) return true;
    const auto of = [](int64_t height, int64_t width) {
      return std::log(static_cast<double>(height) / static_cast<double>(width));
    };
    return std::abs(of(shape[2], shape[3]) - of(input_.size(2), input_.size(3))) < std::log(2.5);
  }

  /// Of tokens, those behind the last attention no longer matter to the score: a class token has read them already.
  const SeenLayer* last_that_matters(const std::vector<const SeenLayer*>& candidates) const {
    if (candidates.empty()) return nullptr;
    if (!candidates.back()->layout.tokens) return candidates.back();
    constexpr size_t most = 32;
    const std::vector<const SeenLayer*> latest(
        candidates.end() - static_cast<std::ptrdiff_t>(std::min(most, candidates.size())), candidates.end());
    const std::vector<char> matters = have_gradients(latest);
    for (const bool norms_only : {true, false}) {
      for (size_t i = latest.size(); i-- > 0;) {
        const bool has_class_token = latest[i]->info.shape[1] > places_of(*latest[i]);
        const bool norm = latest[i]->info.type.find("Norm") != std::string::npos;
        if (matters[i] != 0 && (norm || !norms_only || !has_class_token)) return latest[i];
      }
    }
    const auto without = std::find_if(candidates.rbegin(), candidates.rend(),
                                      [](const SeenLayer* seen) { return !seen->layout.tokens; });
    return without == candidates.rend() ? nullptr : *without;
  }

  static int64_t places_of(const SeenLayer& seen) {
    int64_t places = 1;
    for (size_t d = 2; d < seen.layout.shape.size(); ++d) places *= seen.layout.shape[d];
    return places;
  }

  /// Whether the highest score depends on the places of each layer's output.
  std::vector<char> have_gradients(const std::vector<const SeenLayer*>& seen) const {
    std::vector<char> have(seen.size(), 0);
    try {
      const std::vector<at::Tensor> gradients = gradients_at(seen);
      for (size_t i = 0; i < seen.size(); ++i) {
        const std::optional<Reshape>& reshape = seen[i]->layout.reshape;
        const at::Tensor at_places = reshape && gradients[i].defined() ? reshape->to_maps(gradients[i]) : gradients[i];
        have[i] = at_places.defined() && at_places.ne(0).any().item<bool>() ? 1 : 0;
      }
    } catch (const c10::Error&) {
      return have;  // not differentiable there; the layers before it serve
    }
    return have;
  }

  /// Of the highest score of each image, with respect to each layer's output; undefined where there is none.
  std::vector<at::Tensor> gradients_at(const std::vector<const SeenLayer*>& seen) const {
    const NoGraphYet no_graph_yet;
    std::vector<std::shared_ptr<CutPoint>> points;
    at::Tensor output;
    {
      std::vector<Watch> watches;
      for (const SeenLayer* each : seen) {
        const Layer layer = model_.layer(each->info.name);
        points.push_back(std::make_shared<CutPoint>(layer, points.size(), Tracker::of_thread()));
        watches.push_back(model_.watch(points.back(), layer));
      }
      output = model_.forward(input_);
    }
    std::vector<at::Tensor> handles;
    for (const auto& point : points) {
      point->check();
      handles.push_back(point->handle());
    }
    const WithGraph with_graph;
    return torch::autograd::grad({output.flatten(1).amax(1).sum()}, handles, {}, false, false, /*allow_unused=*/true);
  }

  /// Where most of the model comes behind the last map.
  std::string warning_for(const SeenLayer& chosen) const {
    size_t before = 0;
    for (const SeenLayer& seen : list_.layers) {
      ++before;
      if (&seen == &chosen) break;
    }
    const size_t all = list_.layers.size();
    if (2 * before >= all) return "";
    return "layer \"" + chosen.info.name + "\" is a poor one to explain: " + std::to_string(all - before) +
           " of the model's " + std::to_string(all) + " layers come behind it and give no maps";
  }

  const Model& model_;
  const at::Tensor& input_;
  const LayerList& list_;
};

}  // namespace detail

/// The layers of `model` that can be explained, in the order in which they end, from one forward pass.
///
/// `input` `[N, C, *S]`. Layers that do not run, give no tensor, or cannot be watched from outside, are left out.
inline std::vector<LayerInfo> layers(const Model& model, const at::Tensor& input) {
  std::vector<LayerInfo> all;
  for (detail::SeenLayer& seen : detail::run_and_list(model, input).layers) all.push_back(std::move(seen.info));
  return all;
}

/// The usual place for CAM and Grad-CAM: the last layer whose output is seen as a map.
///
/// A map has as many dimensions as the input and its proportions, and is not yet one of class scores (as many channels
/// as the model has classes). A container is preferred to its last child, and what is only passed through (dropout) is
/// left out, since both give the same. Of a transformer with a class token it is the last norm that the score still
/// depends on. Throws when there is none. `input` `[N, C, *S]`.
inline Suggestion suggest(const Model& model, const at::Tensor& input) {
  const detail::LayerList list = detail::run_and_list(model, input);
  const std::optional<Suggestion> best = detail::Candidates(model, input, list).best();
  TORCH_CHECK(
      best.has_value(), "model: none of its layers gives a spatial output [N, C, *S] for an input ", input.sizes(),
      list.layers.empty() ? "; it has no layers to look at (torch::jit::freeze removes them; save it before)" : "");
  return *best;
}

/// The name of that layer.
inline std::string suggest_layer(const Model& model, const at::Tensor& input) { return suggest(model, input).layer; }

}  // namespace sightglass
