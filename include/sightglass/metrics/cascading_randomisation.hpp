#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/explain.hpp"
#include "sightglass/metrics/drop_increase.hpp"
#include "sightglass/metrics/randomised_parameters.hpp"
#include "sightglass/metrics/similarity.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// How like the original map those of an ever more random model are. A method that explains the model loses the
/// likeness; one that draws the picture's edges keeps it. 1: unchanged.
struct CascadingRandomisation {
  std::vector<std::string> layers;   ///< in the order in which they were made random: from the output to the input
  at::Tensor rank_correlation;       ///< `[layers, N]`: with this layer and those before it random
  at::Tensor structural_similarity;  ///< the same; undefined for maps that are not two-dimensional
  /// `[draws, N]`: the same for the original map against its own values at random places. The rank correlation's mean
  /// is 0, its deviation `1 / sqrt(places - 1)`.
  at::Tensor reference_rank_correlation;
  at::Tensor reference_structural_similarity;
};

/// Options of `cascading_randomisation`.
struct CascadingRandomisationOptions {
  int64_t draws = 20;  ///< of the reference
  uint64_t seed = 0;
  Runs runs = {};  ///< progress is told after each layer; all images go at once, whatever `max_batch`
};

namespace detail {

/// Compares maps `[N, *S]` with one: as they are by rank, and normalised and enlarged to at least 11 by structure.
class Likeness {
 public:
  explicit Likeness(const Explanation& original);

  void add(const Explanation& other);
  at::Tensor by_rank() const { return at::stack(ranks_); }
  at::Tensor by_structure() const;

 private:
  static at::Tensor finite(const at::Tensor& map);
  static at::Tensor picture(const Explanation& explanation);

  at::Tensor map_;
  at::Tensor picture_;
  std::vector<at::Tensor> ranks_;
  std::vector<at::Tensor> structures_;
};

/// That of the maps' own values at random places.
Likeness likeness_by_chance(const Explanation& original, int64_t draws, uint64_t seed);

}  // namespace detail

/// The sanity check by cascading randomisation: the model's modules are made random one by one, from the output to the
/// input (the reverse of their registration), each staying so; after each the original prediction, or another target,
/// is explained again and the map compared with the original.
///
/// Adebayo et al. 2018, "Sanity Checks for Saliency Maps", who draw from the initialisation; here each parameter gets
/// normal numbers of its own mean and deviation, for a loaded model does not tell how it was initialised (one of a
/// single element stays). Batch norm's statistics stay. Structural similarity is that of normalised maps enlarged to
/// the input's size. Nothing of the model is changed afterwards, whatever is thrown; meanwhile nobody else may use it
/// (see `RandomisedParameters`). One explanation of the batch a module with parameters.
template <class Method>
CascadingRandomisation cascading_randomisation(const Model& model, const at::Tensor& input, const Layer& layer,
                                               const Method& method, const Target& target = {},
                                               const CascadingRandomisationOptions& options = {}) {
  TORCH_CHECK(options.draws > 0, "draws: got ", options.draws, ", expected at least 1");
  const detail::NoGraph no_graph;
  const Pass pass(model, input, {layer}, detail::tail_for<Method>);
  const Explanation original = pass.explain(0, method, target);
  const Target same = target.of(pass.output(), at::arange(input.size(0), at::kLong));

  CascadingRandomisation found;
  detail::Likeness likeness(original);
  RandomisedParameters parameters(model);
  const Model as_it_is = model.plain();  // an optimised form holds the weights as they were before
  const auto all = static_cast<int64_t>(parameters.size());
  for (int64_t done = 1; done <= all; ++done) {
    const auto module = static_cast<size_t>(all - done);
    parameters.randomise(module, options.seed);
    found.layers.push_back(parameters.name(module));
    likeness.add(explain(as_it_is, input, layer, method, same));
    if (!detail::goes_on(options.runs, done, all)) throw Cancelled();
  }
  found.rank_correlation = likeness.by_rank();
  found.structural_similarity = likeness.by_structure();

  const detail::Likeness chance = detail::likeness_by_chance(original, options.draws, options.seed);
  found.reference_rank_correlation = chance.by_rank();
  found.reference_structural_similarity = chance.by_structure();
  return found;
}

/// The same at the layer called `layer`.
template <class Method>
CascadingRandomisation cascading_randomisation(const Model& model, const at::Tensor& input, const std::string& layer,
                                               const Method& method, const Target& target = {},
                                               const CascadingRandomisationOptions& options = {}) {
  return cascading_randomisation(model, input, model.layer(layer), method, target, options);
}

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/cascading_randomisation_inl.hpp"
#endif
