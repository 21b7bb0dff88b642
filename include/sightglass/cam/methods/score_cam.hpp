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
at::Tensor enlarged(const at::Tensor& maps, const at::Tensor& input);

/// Each map brought to [0, 1] by its own extremes; a constant one becomes 0. `[M, *S]`.
at::Tensor scaled(const at::Tensor& maps);

/// Masks `[M, *S]` times one image `[C, *S]`: `[M, C, *S]`.
at::Tensor masked(const at::Tensor& masks, const at::Tensor& image);

/// `[N, C]`: `softmax_k(scores)` over the channels `chosen` `[N, K]` with scores `[N, K]`, 0 for the others and for
/// those that were not run.
at::Tensor score_weights(const at::Tensor& scores, const at::Tensor& chosen, const at::Tensor& activations);

/// `relu(sum_k softmax_k(scores) * A_k)`.
at::Tensor score_map(const at::Tensor& scores, const at::Tensor& chosen, const at::Tensor& activations);

/// The `count` channels of highest variance over places, `[N, count]`; all of them, in order, for 0.
at::Tensor channels_of_most_variance(const at::Tensor& activations, int64_t count);

/// Score-CAM whose score of a channel is the mean over `samples` masks: `vary(masks, numbers)` changes the masks
/// `[M, *S]` of the samples `numbers` `[M]`; number i is sample `i mod samples` of channel `i / samples`.
at::Tensor score_cam_of_samples(
    const Cut& cut, const Runs& runs, int64_t samples,
    const std::function<at::Tensor(const at::Tensor& masks, const at::Tensor& numbers)>& vary);

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
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
  /// `[N, C, *S]`: what the map is the rectified sum of, for `EigenSmoothed`.
  at::Tensor weighted(const Cut& cut) const;

  /// `[N, C]`.
  at::Tensor weights(const Cut& cut) const;
};

/// Score-CAM on the 32 channels of highest variance.
struct FastScoreCam {
  /// How many are run.
  int64_t channels = 32;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};
  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

/// SS-CAM: Score-CAM whose score of a channel is the mean over `samples` masks with normal noise of deviation `std`
/// added to the scaled mask.
///
/// The same noise for all images and channels' chunks of equal place, from `seed`. Naidu et al. 2020, "SS-CAM: Smoothed
/// Score-CAM for Sharper Visual Feature Localization". torchcam draws from the global generator.
struct SsCam {
  /// Masks a channel, a run of the model each.
  int64_t samples = 10;
  /// Of the noise, in units of the scaled mask.
  double std = 2.0;
  /// The same seed gives the same map.
  uint64_t seed = 0;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

/// IS-CAM: Score-CAM whose score of a channel is the mean over masks scaled by `1/samples, 2/samples, ..., 1`: an
/// integral over the mask's strength.
///
/// Naidu et al. 2020, "IS-CAM: Integrated Score-CAM for axiomatic-based explanations". torchcam's coefficients are
/// running sums, which go far above 1.
struct IsCam {
  /// Masks a channel, a run of the model each.
  int64_t samples = 10;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/score_cam_inl.hpp"
#endif
