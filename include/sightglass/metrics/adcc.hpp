#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/explain.hpp"
#include "sightglass/metrics/drop_increase.hpp"
#include "sightglass/metrics/similarity.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// How maps do in three ways at once; all `[N]`, in [0, 1].
struct AdccScores {
  at::Tensor coherency;   ///< of the map with that of the masked input; higher is better
  at::Tensor complexity;  ///< how much of the input the map takes; lower is better
  at::Tensor drop;        ///< what of the score masking takes; lower is better

  /// The harmonic mean of coherency, `1 - complexity` and `1 - drop`; higher is better, 0 where one of them is.
  at::Tensor adcc() const {
    return 3 / (coherency.reciprocal() + (1 - complexity).reciprocal() + (1 - drop).reciprocal());
  }
};

/// The scores of a method's maps, and of the same values at places drawn at random: the level to compare with.
struct Adcc {
  AdccScores own;
  AdccScores reference;
};

/// Options of `adcc`.
struct AdccOptions {
  std::optional<Target> confidence = {};  ///< whose drop is told; the target itself where none is given
  uint64_t seed = 0;                      ///< of the reference's places
  Runs runs = {};                         ///< counts three explanations an image
};

namespace detail {

/// The maps of a batch and the scores of `confidence`, a few images at a time; progress is counted on.
template <class Method>
class ChunkedExplainer {
 public:
  ChunkedExplainer(const Model& model, const Layer& layer, const Method& method, const Target& target,
                   const AdccOptions& options, const at::Tensor& input)
      : model_(model),
        layer_(layer),
        method_(method),
        output_(Runner(model, {layer}).forward(input)),
        target_(target),
        confidence_(options.confidence.value_or(target)),
        runs_(options.runs),
        batch_(batch_for(options.runs, input.select(0, 0))),
        all_(3 * input.size(0)) {}

  /// Explains `images` `[N, C, *S]`, variants of the input, for the targets of the input.
  Explanation explain(const at::Tensor& images) {
    std::vector<at::Tensor> scores;
    const at::Tensor maps = in_chunks(runs_, batch_, images.size(0), done_, all_, [&](int64_t first, int64_t last) {
      const at::Tensor rows = at::arange(first, last, at::kLong);
      const Pass pass(model_, images.slice(0, first, last), {layer_}, tail_for<Method>);
      scores.push_back(confidence_.of(output_, rows).scores(pass.output()));
      return pass.explain(0, method_, target_.of(output_, rows)).map();
    });
    return {maps, at::cat(scores), target_.classes(output_), images.sizes().slice(2).vec()};
  }

 private:
  const Model& model_;
  Layer layer_;
  const Method& method_;
  at::Tensor output_;
  Target target_;
  Target confidence_;
  const Runs& runs_;
  int64_t batch_;
  int64_t all_;
  int64_t done_ = 0;
};

}  // namespace detail

/// ADCC, one figure of three: the input is masked by its map, normalised to [0, 1] and enlarged, and explained again.
/// `coherency = (1 + correlation of the two maps) / 2`, `complexity = mean of the normalised map`,
/// `drop = max(0, y - y') / y`; `ADCC = 3 / (1 / coherency + 1 / (1 - complexity) + 1 / (1 - drop))`.
///
/// Takes the method and the layer (`Layer`, or by name), for it explains `3 N` images, all for the target of the input.
/// Poppi et al. 2021, "Revisiting the Evaluation of Class Activation Mapping for Explainability", whose drop is of the
/// class's probability: give `confidence` as `Target::softmax`. With a constant map the correlation is 0, where the
/// authors' code gives NaN.
template <class Method>
Adcc adcc(const Model& model, const at::Tensor& input, const Layer& layer, const Method& method,
          const Target& target = {}, const AdccOptions& options = {}) {
  model.check_evaluation();
  const detail::NoGraph no_graph;
  detail::ChunkedExplainer<Method> explainer(model, layer, method, target, options, input);
  const Explanation whole = explainer.explain(input);
  const auto scores_of = [&](const at::Tensor& map) -> AdccScores {
    const Explanation masked = explainer.explain(detail::masked_by(map, input));
    return {((1 + correlation(map, masked.map().nan_to_num(0, 0, 0))) / 2).to(map.dtype()), map.flatten(1).mean(1),
            detail::drop_of(whole.scores(), masked.scores())};
  };
  const at::Tensor map = whole.normalised();
  Adcc found;
  found.own = scores_of(map);
  found.reference = scores_of(detail::shuffled(map, options.seed));
  return found;
}

/// The same at the layer called `layer`.
template <class Method>
Adcc adcc(const Model& model, const at::Tensor& input, const std::string& layer, const Method& method,
          const Target& target = {}, const AdccOptions& options = {}) {
  return adcc(model, input, model.layer(layer), method, target, options);
}

}  // namespace sightglass
