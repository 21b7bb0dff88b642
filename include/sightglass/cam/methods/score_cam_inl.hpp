#pragma once

#include "sightglass/cam/methods/score_cam.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor enlarged(const at::Tensor& maps, const at::Tensor& input) {
  return resize_map(maps, input.sizes().slice(2));
}

SIGHTGLASS_INLINE at::Tensor scaled(const at::Tensor& maps) {
  const at::Tensor flat = maps.flatten(1);
  const at::Tensor low = over_each(flat.amin(1), maps.dim());
  const at::Tensor range = over_each(flat.amax(1), maps.dim()) - low;
  return (maps - low) / range.masked_fill(range.eq(0), 1);
}

SIGHTGLASS_INLINE at::Tensor masked(const at::Tensor& masks, const at::Tensor& image) {
  return masks.to(image.dtype()).unsqueeze(1) * image;
}

SIGHTGLASS_INLINE at::Tensor score_weights(const at::Tensor& scores, const at::Tensor& chosen,
                                           const at::Tensor& activations) {
  const at::Tensor weights = at::zeros({activations.size(0), activations.size(1)}, activations.options());
  const at::Tensor any = were_run(scores).any(1, /*keepdim=*/true);
  return weights.scatter(1, chosen, scores.to(activations.dtype()).masked_fill(~any, 0).softmax(1) * any);
}

SIGHTGLASS_INLINE at::Tensor score_map(const at::Tensor& scores, const at::Tensor& chosen,
                                       const at::Tensor& activations) {
  return weigh(score_weights(scores, chosen, activations), activations).relu_();
}

SIGHTGLASS_INLINE at::Tensor channels_of_most_variance(const at::Tensor& activations, int64_t count) {
  const int64_t all = activations.size(1);
  TORCH_CHECK(count >= 0 && count <= all, "channels: got ", count, ", the layer has ", all);
  if (count == 0 || count == all) {
    return at::arange(all, activations.options().dtype(at::kLong)).unsqueeze(0).expand({activations.size(0), all});
  }
  return std::get<1>(activations.flatten(2).var(2, /*unbiased=*/false).topk(count, 1));
}

SIGHTGLASS_INLINE at::Tensor score_cam_of_samples(
    const Cut& cut, const Runs& runs, int64_t samples,
    const std::function<at::Tensor(const at::Tensor& masks, const at::Tensor& numbers)>& vary) {
  TORCH_CHECK(samples > 0, "samples: got ", samples, ", expected at least 1");
  const at::Tensor a = cut.activations();
  const at::Tensor x = cut.input();
  const at::Tensor chosen = channels_of_most_variance(a, 0);
  const int64_t count = chosen.size(1);
  const at::Tensor scores =
      scores_so_far(runs, Tail::once, x, count * samples, [&](int64_t image, int64_t first, int64_t last) {
        const at::Tensor numbers = at::arange(first, last, a.options().dtype(at::kLong));
        const at::Tensor maps = a[image].index_select(0, numbers.div(samples, "floor"));
        const at::Tensor masks = vary(scaled(enlarged(maps, x)), numbers);
        return cut.scores_of(masked(masks, x[image]), of_image(image, last - first));
      });
  return score_map(scores.view({a.size(0), count, samples}).mean(2), chosen, a);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor ScoreCam::operator()(const Cut& cut) const {
  return detail::weigh(weights(cut), cut.activations()).relu_();
}

SIGHTGLASS_INLINE at::Tensor ScoreCam::weighted(const Cut& cut) const {
  return detail::weighted(weights(cut), cut.activations());
}

SIGHTGLASS_INLINE at::Tensor ScoreCam::weights(const Cut& cut) const {
  const at::Tensor a = cut.activations();
  const at::Tensor x = cut.input();
  const at::Tensor chosen = detail::channels_of_most_variance(a, channels);
  const at::Tensor scores =
      detail::scores_so_far(runs, Tail::once, x, chosen.size(1), [&](int64_t image, int64_t first, int64_t last) {
        const at::Tensor maps = a[image].index_select(0, chosen[image].slice(0, first, last));
        const at::Tensor masks = detail::scaled(detail::enlarged(maps, x));
        return cut.scores_of(detail::masked(masks, x[image]), detail::of_image(image, last - first));
      });
  return detail::score_weights(scores, chosen, a);
}

SIGHTGLASS_INLINE at::Tensor FastScoreCam::operator()(const Cut& cut) const {
  return ScoreCam{std::min(channels, cut.activations().size(1)), runs}(cut);
}

SIGHTGLASS_INLINE at::Tensor SsCam::operator()(const Cut& cut) const {
  return detail::score_cam_of_samples(cut, runs, samples, [&](const at::Tensor& masks, const at::Tensor& numbers) {
    const auto first = static_cast<uint64_t>(numbers[0].item<int64_t>());
    std::vector<at::Tensor> noise;
    for (uint64_t i = 0; i < static_cast<uint64_t>(masks.size(0)); ++i) {
      noise.push_back(detail::normal(masks.sizes().slice(1), seed + first + i));
    }
    return masks + detail::moved_to(masks.device(), at::stack(noise)).to(masks.dtype()) * std;
  });
}

SIGHTGLASS_INLINE at::Tensor IsCam::operator()(const Cut& cut) const {
  return detail::score_cam_of_samples(cut, runs, samples, [&](const at::Tensor& masks, const at::Tensor& numbers) {
    const at::Tensor strength = (numbers.remainder(samples) + 1).to(masks.dtype()) / static_cast<double>(samples);
    return masks * detail::over_each(strength, masks.dim());
  });
}

}  // namespace sightglass
