#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "sightglass/train/stats_history.hpp"

namespace sightglass {

/// What may be wrong with a layer.
enum class Warning {
  dead_layer,
  dead_channels,
  not_finite,
  exploding_activations,
  vanishing_activations,
  vanishing_gradient,
  large_update,
  small_update
};

/// One warning in words, and the figure that led to it.
struct Finding {
  std::string layer;
  Warning kind;
  std::string text;
  double figure;
};

/// From where on figures are warned of. A figure is the median over the last recorded batches.
struct DiagnosisOptions {
  int64_t recent = 5;            ///< how many of the last recorded batches are judged
  double dead_share = 0.95;      ///< share of near-zero activations, or of dead channels
  double large_std = 100;        ///< standard deviation of activations
  double growth = 10;            ///< of the standard deviation since the first records, where it is also above...
  double grown_std = 20;         ///< ... this
  double small_std = 1e-3;       ///< standard deviation of activations
  double small_gradient = 1e-3;  ///< norm of a layer's gradient, by the largest of all layers
  double large_update = 0.1;     ///< norm of the update by that of the weights
  double small_update = 1e-6;    ///< the same
};

namespace detail {

/// The median of `values[from..to)`, without NaN; NaN when there is nothing.
double median_of(const at::Tensor& values, int64_t from, int64_t to);

std::string in_words(double value);
inline std::string in_percent(double share) { return in_words(100 * share) + " %"; }

/// Judges the layers of a history one after the other.
class Diagnosis {
 public:
  Diagnosis(const StatsHistory& history, const DiagnosisOptions& options);

  std::vector<Finding> findings();

 private:
  struct Named {
    std::string name;
    LayerStats stats;
  };

  double recent(const at::Tensor& values) const { return median_of(values, steps_ - window_, steps_); }
  std::string when() const;
  void warn(const Named& layer, Warning kind, double figure, const std::string& text);

  /// The batches from the first that was not finite on tell nothing more.
  bool judge_finite(const Named& layer);

  void judge_activations(const Named& layer);

  void judge_gradient(const Named& layer);

  void judge_update(const Named& layer);

  DiagnosisOptions options_;
  int64_t steps_;
  int64_t window_;
  at::Tensor batches_;
  std::vector<Named> stats_;
  double largest_gradient_ = 0;
  std::vector<Finding> findings_;
};

}  // namespace detail

/// Warnings in words, the layers in the model's order: dead layers and channels, exploding and vanishing activations,
/// vanishing gradients, weights that change too much or too little. What was not recorded is not judged.
std::vector<Finding> diagnose(const StatsHistory& history, const DiagnosisOptions& options = {});

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/diagnosis_inl.hpp"
#endif
