#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/nearest.hpp"

namespace sightglass {

/// The figures of one layer in one recorded batch.
enum class Figure {
  mean,
  std,
  near_zero,
  dead_channels,
  gradient_mean,
  gradient_std,
  gradient_norm,
  gradient_zeros,
  update_ratio
};
/// How many there are.
constexpr size_t figure_count = 9;
/// The names of the figures in files.
constexpr std::array<const char*, figure_count> figure_names{
    "mean",         "std",           "near_zero",      "dead_channels", "gradient_mean",
    "gradient_std", "gradient_norm", "gradient_zeros", "update_ratio"};

/// What one recorded batch says of one layer; a figure that was not asked for has no value.
struct LayerRecord {
  /// The path in the model.
  std::string name;
  /// By `Figure`.
  std::array<std::optional<float>, figure_count> figures;
  std::vector<float> histogram;  ///< counts, one a bin; empty when not requested
  at::Tensor dead;               ///< bool [channels]; undefined when read from a file

  /// One figure, to be written.
  std::optional<float>& operator[](Figure figure) { return figures[static_cast<size_t>(figure)]; }
};

/// One recorded batch.
struct BatchRecord {
  int64_t batch = 0;  ///< its number among the batches in training mode, from 0
  std::vector<LayerRecord> layers;
};

/// One layer over the recorded batches. CPU tensors of floats, `[steps]`, undefined when not requested; NaN where the
/// layer did not run.
class LayerStats {
 public:
  /// Of all values of the output.
  at::Tensor mean() const { return figure(Figure::mean); }
  /// Unbiased (n - 1).
  at::Tensor std() const { return figure(Figure::std); }
  /// The share, in [0, 1], of values at or below the threshold (0.05), negative ones among them.
  at::Tensor near_zero() const { return figure(Figure::near_zero); }
  /// The share of channels whose values were all at or below the threshold.
  at::Tensor dead_channels() const { return figure(Figure::dead_channels); }
  /// Of the gradient of the loss with respect to the layer's output.
  at::Tensor gradient_mean() const { return figure(Figure::gradient_mean); }
  /// Its unbiased deviation.
  at::Tensor gradient_std() const { return figure(Figure::gradient_std); }
  /// Its Euclidean norm.
  at::Tensor gradient_norm() const { return figure(Figure::gradient_norm); }
  /// The share of its values that are 0.
  at::Tensor gradient_zeros() const { return figure(Figure::gradient_zeros); }
  /// The norm of what the batch changed in the layer's parameters, by the norm of the parameters before.
  at::Tensor update_ratio() const { return figure(Figure::update_ratio); }

  /// One figure, `[steps]`; undefined when not requested.
  at::Tensor figure(Figure which) const;
  /// Counts, `[steps, bins]`; undefined when not requested.
  at::Tensor histograms() const { return histograms_; }
  /// Which channels were dead at a step, bool `[channels]`; undefined for steps read from a file.
  at::Tensor dead(int64_t step) const;
  /// How many batches were recorded.
  int64_t steps() const;

 private:
  friend class StatsHistory;
  at::Tensor table_;  ///< [steps, figures]
  std::array<bool, figure_count> present_{};
  at::Tensor histograms_;
  std::vector<at::Tensor> dead_;
};

/// Figures of layers over the recorded batches of a training run: what `ActivationStats` collects, and what
/// `read_stats` reads back from a file.
class StatsHistory {
 public:
  /// The layers, in the model's order; further outputs of one layer are called `lstm[1]`, `lstm[2]`.
  const std::vector<std::string>& names() const { return names_; }
  /// How many layers there are.
  size_t size() const { return names_.size(); }
  /// How many batches were recorded.
  int64_t steps() const;
  /// The numbers of the recorded batches, int64 `[steps]`.
  at::Tensor batches() const { return at::tensor(batches_, at::kLong); }

  /// A layer by name. Throws `c10::Error` for an unknown one, with the nearest.
  LayerStats layer(const std::string& name) const;

  /// The layer number `index`. Throws `c10::Error` for a number that it does not have.
  LayerStats layer(size_t index) const;

  /// fastai's `layer_stats`: the rows mean, standard deviation and near-zero share of a layer, each `[steps]`.
  std::vector<at::Tensor> layer_stats(size_t index) const;

  /// fastai's `hist`: log(1 + count), `[bins, steps]`, the lowest bin first: the colourful dimension.
  at::Tensor hist(size_t index) const;

  /// One more recorded batch. Layers seen for the first time did not run before.
  void append(const BatchRecord& record);

  /// Forgets the recorded batches from number `batch` on.
  void forget_from(int64_t batch);

 private:
  using Records = std::vector<LayerRecord>;

  /// Steps without one are rows of zeros.
  static at::Tensor histograms_of(const Records& records);

  std::vector<std::string> names_;
  std::vector<Records> records_;
  std::vector<int64_t> batches_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/stats_history_inl.hpp"
#endif
