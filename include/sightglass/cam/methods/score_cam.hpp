#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass {

namespace detail {

/// Each map of `[M, *S]` enlarged to `size`; not yet scaled.
inline at::Tensor enlarged(const at::Tensor& maps, const at::Tensor& input) {
  return resize_map(maps, input.sizes().slice(2));
}

/// Each map brought to [0, 1] by its own extremes; a constant one becomes 0. `[M, *S]`.
inline at::Tensor scaled(const at::Tensor& maps) {
  const at::Tensor flat = maps.flatten(1);
  const at::Tensor low = over_each(flat.amin(1), maps.dim());
  const at::Tensor range = over_each(flat.amax(1), maps.dim()) - low;
  return (maps - low) / range.masked_fill(range.eq(0), 1);
}

/// Masks `[M, *S]` times one image `[C, *S]`: `[M, C, *S]`.
inline at::Tensor masked(const at::Tensor& masks, const at::Tensor& image) {
  return masks.to(image.dtype()).unsqueeze(1) * image;
}

/// `[N, C]`: `softmax_k(scores)` over the channels `chosen` `[N, K]` with scores `[N, K]`, 0 for the others and for
/// those that were not run.
inline at::Tensor score_weights(const at::Tensor& scores, const at::Tensor& chosen, const at::Tensor& activations) {
  const at::Tensor weights = at::zeros({activations.size(0), activations.size(1)}, activations.options());
  const at::Tensor any = were_run(scores).any(1, /*keepdim=*/true);
  return weights.scatter(1, chosen, scores.to(activations.dtype()).masked_fill(~any, 0).softmax(1) * any);
}

/// `relu(sum_k softmax_k(scores) * A_k)`.
inline at::Tensor score_map(const at::Tensor& scores, const at::Tensor& chosen, const at::Tensor& activations) {
  return weigh(score_weights(scores, chosen, activations), activations).relu_();
}

/// The `count` channels of highest variance over places, `[N, count]`; all of them, in order, for 0.
inline at::Tensor channels_of_most_variance(const at::Tensor& activations, int64_t count) {
  const int64_t all = activations.size(1);
  TORCH_CHECK(count >= 0 && count <= all, "channels: got ", count, ", the layer has ", all);
  if (count == 0 || count == all) {
    return at::arange(all, activations.options().dtype(at::kLong)).unsqueeze(0).expand({activations.size(0), all});
  }
  return std::get<1>(activations.flatten(2).var(2, /*unbiased=*/false).topk(count, 1));
}

/// Score-CAM whose score of a channel is the mean over `samples` masks: `vary(masks, numbers)` changes the masks
/// `[M, *S]` of the samples `numbers` `[M]`; number i is sample `i mod samples` of channel `i / samples`.
inline at::Tensor score_cam_of_samples(
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

}  // namespace detail

/// Score-CAM: `map = relu(sum_k w_k A_k)`, `w = softmax_k(score(x * m_k) - score(baseline))`, where the mask `m_k` is
/// channel k enlarged bilinearly to the input's size (`align_corners` false), then scaled to [0, 1]. No gradients.
///
/// One run of the model a channel. The score of a baseline is the same for all channels, and the softmax takes it out
/// again: it is not computed. A constant channel masks everything. With `channels` only those of highest variance are
/// run (Li et al. 2022, "Faster Score-CAM"), the others weigh nothing. Wang et al. 2020, "Score-CAM: Score-Weighted
/// Visual Explanations for Convolutional Neural Networks". torchcam scales before it enlarges; pytorch-grad-cam aligns
/// corners.
struct ScoreCam {
  int64_t channels = 0;  ///< how many are run; 0: all
  Runs runs = {};

  at::Tensor operator()(const Cut& cut) const { return detail::weigh(weights(cut), cut.activations()).relu_(); }
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const { return detail::weighted(weights(cut), cut.activations()); }

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const {
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
};

/// Score-CAM on the 32 channels of highest variance.
struct FastScoreCam {
  int64_t channels = 32;
  Runs runs = {};
  at::Tensor operator()(const Cut& cut) const {
    return ScoreCam{std::min(channels, cut.activations().size(1)), runs}(cut);
  }
};

/// SS-CAM: Score-CAM whose score of a channel is the mean over `samples` masks with normal noise of deviation `std`
/// added to the scaled mask.
///
/// The same noise for all images and channels' chunks of equal place, from `seed`. Naidu et al. 2020, "SS-CAM: Smoothed
/// Score-CAM for Sharper Visual Feature Localization". torchcam draws from the global generator.
struct SsCam {
  int64_t samples = 10;
  double std = 2.0;
  uint64_t seed = 0;
  Runs runs = {};

  at::Tensor operator()(const Cut& cut) const {
    return detail::score_cam_of_samples(cut, runs, samples, [&](const at::Tensor& masks, const at::Tensor& numbers) {
      const auto first = static_cast<uint64_t>(numbers[0].item<int64_t>());
      std::vector<at::Tensor> noise;
      for (uint64_t i = 0; i < static_cast<uint64_t>(masks.size(0)); ++i) {
        noise.push_back(detail::normal(masks.sizes().slice(1), seed + first + i));
      }
      return masks + detail::moved_to(masks.device(), at::stack(noise)).to(masks.dtype()) * std;
    });
  }
};

/// IS-CAM: Score-CAM whose score of a channel is the mean over masks scaled by `1/samples, 2/samples, ..., 1`: an
/// integral over the mask's strength.
///
/// Naidu et al. 2020, "IS-CAM: Integrated Score-CAM for axiomatic-based explanations". torchcam's coefficients are
/// running sums, which go far above 1.
struct IsCam {
  int64_t samples = 10;
  Runs runs = {};

  at::Tensor operator()(const Cut& cut) const {
    return detail::score_cam_of_samples(cut, runs, samples, [&](const at::Tensor& masks, const at::Tensor& numbers) {
      const at::Tensor strength = (numbers.remainder(samples) + 1).to(masks.dtype()) / static_cast<double>(samples);
      return masks * detail::over_each(strength, masks.dim());
    });
  }
};

}  // namespace sightglass
