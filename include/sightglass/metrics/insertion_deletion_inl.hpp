#pragma once

#include "sightglass/metrics/insertion_deletion.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor area_under_change(const Runner& runner, const Target& target, const at::Tensor& output,
                                               const at::Tensor& x, const at::Tensor& to, const at::Tensor& order,
                                               const InsertionDeletionOptions& options, int64_t& done, int64_t all) {
  const int64_t places = order.size(1);
  const int64_t batch = batch_for(options.runs, x.select(0, 0));
  std::vector<at::Tensor> areas;
  for (int64_t image = 0; image < x.size(0); ++image) {
    const at::Tensor rank_map = rank_of_places(order[image], x.sizes().slice(2));
    const at::Tensor curve =
        in_chunks(options.runs, batch, options.steps + 1, done, all, [&](int64_t first, int64_t last) {
          std::vector<at::Tensor> variants;
          for (int64_t step = first; step < last; ++step) {
            variants.push_back(at::where(rank_map.lt(places * step / options.steps), to[image], x[image]));
          }
          return target.of(output, of_image(image, last - first)).scores(runner.forward(at::stack(variants)));
        });
    areas.push_back(at::trapezoid(curve, 1.0 / static_cast<double>(options.steps)));
  }
  return at::stack(areas);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE InsertionDeletion insertion_deletion(const Model& model, const at::Tensor& input,
                                                       const Explanation& explanation, const Target& target,
                                                       const InsertionDeletionOptions& options) {
  detail::check_batch(explanation, input);
  TORCH_CHECK(options.steps > 0, "steps: got ", options.steps, ", expected at least 1");
  model.check_evaluation();
  const detail::NoGraph no_graph;
  const detail::Runner runner(model);
  const at::Tensor output = runner.forward(input);
  const at::Tensor order = detail::places_by_relevance(explanation, input.sizes().slice(2));
  const at::Tensor baseline = at::full_like(input, options.baseline);
  int64_t done = 0;
  const int64_t areas_to_run = options.reference == Reference::computed ? 4 : 2;
  const int64_t all = areas_to_run * input.size(0) * (options.steps + 1);
  const auto area = [&](const at::Tensor& from, const at::Tensor& to, const at::Tensor& in_order) {
    return detail::area_under_change(runner, target, output, from, to, in_order, options, done, all);
  };
  InsertionDeletion areas;
  areas.insertion = area(baseline, input, order);
  areas.deletion = area(input, baseline, order);
  if (options.reference == Reference::left_out) return areas;
  const at::Tensor random = detail::places_at_random(order, options.seed);
  areas.reference_insertion = area(baseline, input, random);
  areas.reference_deletion = area(input, baseline, random);
  return areas;
}

}  // namespace sightglass
