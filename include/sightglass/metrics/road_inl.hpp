#pragma once

#include "sightglass/metrics/road.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor Road::combined() const { return (least_relevant_first - most_relevant_first).mean(1) / 2; }

}  // namespace sightglass

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor first_of_order(const at::Tensor& order, const std::vector<double>& percentiles,
                                            at::IntArrayRef size) {
  const at::Tensor rank = rank_of_places(order, size);
  std::vector<at::Tensor> masks;
  for (const double percentile : percentiles) {
    const auto count = static_cast<int64_t>(std::llround(static_cast<double>(order.size(0)) * percentile / 100));
    masks.push_back(rank.lt(count));
  }
  return at::stack(masks).unsqueeze(1);
}

SIGHTGLASS_INLINE void check_road(const at::Tensor& input, const RoadOptions& options) {
  TORCH_CHECK(input.dim() == 4, "input: got ", input.sizes(), ", expected [N, C, H, W]");
  TORCH_CHECK(!options.percentiles.empty(), "percentiles: got none; give at least one");
  for (const double percentile : options.percentiles) {
    TORCH_CHECK(percentile >= 0 && percentile < 100, "percentiles: got ", percentile, ", expected 0 to below 100");
  }
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE Road road(const Model& model, const at::Tensor& input, const Explanation& explanation,
                            const Target& target, const RoadOptions& options) {
  detail::check_batch(explanation, input);
  detail::check_road(input, options);
  model.check_evaluation();
  const detail::NoGraph no_graph;
  const detail::Runner runner(model);
  const at::Tensor output = runner.forward(input);
  const at::IntArrayRef size = input.sizes().slice(2);
  const at::Tensor most = detail::places_by_relevance(explanation, size).to(input.device());
  const at::Tensor random = detail::places_at_random(most, options.seed);
  const at::Tensor noise = detail::normal(input.sizes().slice(1), options.seed + 1).to(input.options()) * options.noise;
  const auto shares = static_cast<int64_t>(options.percentiles.size());

  const at::Tensor scores =
      detail::scores_of_variants(options.runs, input, 3 * shares, [&](int64_t image, int64_t first, int64_t last) {
        const auto masks = [&](const at::Tensor& order) {
          return detail::first_of_order(order, options.percentiles, size);
        };
        const at::Tensor all = at::cat({masks(most[image]), masks(most[image].flip(0)), masks(random[image])});
        const at::Tensor removed = all.slice(0, first, last);
        const at::Tensor images = input[image].unsqueeze(0).expand({last - first, -1, -1, -1});
        const at::Tensor filled = linear_imputation(images, removed, options.imputation) + noise * removed;
        return target.of(output, detail::of_image(image, last - first)).scores(runner.forward(filled));
      });
  return {scores.slice(1, 0, shares), scores.slice(1, shares, 2 * shares), scores.slice(1, 2 * shares)};
}

}  // namespace sightglass
