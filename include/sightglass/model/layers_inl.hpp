#pragma once

#include "sightglass/model/layers.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Candidates::Candidates(const Model& model, const at::Tensor& input, const NotingRun& run)
    : model_(model), input_(input), classes_(run.totals().output_shape), seen_(run.as_they_ended()) {}

SIGHTGLASS_INLINE std::optional<Suggestion> Candidates::best() const {
  for (const bool known : {true, false}) {
    std::vector<const Row*> candidates;
    for (const Row* seen : seen_) {
      if (serves(*seen) && seen->layout.known == known) candidates.push_back(seen);
    }
    const Row* const found = last_that_matters(candidates);
    if (found != nullptr) return Suggestion{found->info.name, reason_for(*found), warning_for(*found)};
  }
  return std::nullopt;
}

SIGHTGLASS_INLINE bool Candidates::serves(const Row& seen) const {
  const std::vector<int64_t>& shape = seen.layout.shape;
  const std::string& type = seen.info.type;
  const bool passes_through = type.find("Dropout") != std::string::npos || type.find("Identity") != std::string::npos;
  const bool class_scores = classes_.size() == 2 && shape.size() > 1 && shape[1] == classes_[1];
  return static_cast<int64_t>(shape.size()) == input_.dim() && shape[0] == input_.size(0) && seen.info.is_spatial() &&
         !passes_through && !class_scores && has_proportions(shape);
}

SIGHTGLASS_INLINE bool Candidates::has_proportions(const std::vector<int64_t>& shape) const {
  if (shape.size() != 4) return true;
  const auto of = [](int64_t height, int64_t width) {
    return std::log(static_cast<double>(height) / static_cast<double>(width));
  };
  return std::abs(of(shape[2], shape[3]) - of(input_.size(2), input_.size(3))) < std::log(2.5);
}

SIGHTGLASS_INLINE const Candidates::Row* Candidates::last_that_matters(
    const std::vector<const Row*>& candidates) const {
  if (candidates.empty()) return nullptr;
  if (!candidates.back()->layout.tokens) return candidates.back();
  const auto count = static_cast<std::ptrdiff_t>(std::min(Limits::layers_with_gradients, candidates.size()));
  const std::vector<const Row*> latest(candidates.end() - count, candidates.end());
  const std::vector<char> matters = have_gradients(latest);
  for (const bool norms_only : {true, false}) {
    for (size_t i = latest.size(); i-- > 0;) {
      const bool has_class_token = latest[i]->info.shape[1] > places_of(*latest[i]);
      const bool norm = latest[i]->info.type.find("Norm") != std::string::npos;
      if (matters[i] != 0 && (norm || !norms_only || !has_class_token)) return latest[i];
    }
  }
  const auto without =
      std::find_if(candidates.rbegin(), candidates.rend(), [](const Row* seen) { return !seen->layout.tokens; });
  return without == candidates.rend() ? nullptr : *without;
}

SIGHTGLASS_INLINE int64_t Candidates::places_of(const Row& seen) {
  int64_t places = 1;
  for (size_t d = 2; d < seen.layout.shape.size(); ++d) places *= seen.layout.shape[d];
  return places;
}

SIGHTGLASS_INLINE std::vector<char> Candidates::have_gradients(const std::vector<const Row*>& seen) const {
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

SIGHTGLASS_INLINE std::vector<at::Tensor> Candidates::gradients_at(const std::vector<const Row*>& seen) const {
  const NoGraphYet no_graph_yet;
  std::vector<std::shared_ptr<CutPoint>> points;
  at::Tensor output;
  {
    std::vector<Watch> watches;
    for (const Row* each : seen) {
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

SIGHTGLASS_INLINE std::string Candidates::reason_for(const Row& chosen) {
  if (!chosen.layout.tokens) return "the last map";
  const bool norm = chosen.info.type.find("Norm") != std::string::npos;
  return norm ? "the last norm that the score depends on" : "the last tokens that the score depends on";
}

SIGHTGLASS_INLINE std::string Candidates::warning_for(const Row& chosen) const {
  const auto before = static_cast<size_t>(std::find(seen_.begin(), seen_.end(), &chosen) - seen_.begin()) + 1;
  const size_t all = seen_.size();
  if (2 * before >= all) return "";
  return "layer \"" + chosen.info.name + "\" is a poor one to explain: " + std::to_string(all - before) +
         " of the model's " + std::to_string(all) + " layers come behind it and give no maps";
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE std::vector<LayerInfo> layers(const Model& model, const at::Tensor& input) {
  std::vector<LayerInfo> all;
  const detail::NotingRun run(model, input, detail::Costs::counted);
  for (const auto* seen : run.as_they_ended()) all.push_back(seen->info);
  return all;
}

SIGHTGLASS_INLINE Suggestion suggest(const Model& model, const at::Tensor& input) {
  const detail::NotingRun run(model, input, detail::Costs::ignored);
  const std::optional<Suggestion> best = detail::Candidates(model, input, run).best();
  TORCH_CHECK(
      best.has_value(), "model: none of its layers gives a spatial output [N, C, *S] for an input ", input.sizes(),
      run.as_they_ended().empty() ? "; it has no layers to look at (torch::jit::freeze removes them; save it before)"
                                  : "");
  return *best;
}

}  // namespace sightglass
