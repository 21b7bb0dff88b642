#pragma once

#include "sightglass/train/diagnosis.hpp"

#include <iomanip>
#include <sstream>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE double median_of(const at::Tensor& values, int64_t from, int64_t to) {
  std::vector<double> numbers;
  for (int64_t i = from; values.defined() && i < to; ++i) {
    const double value = values[i].item<double>();
    if (!std::isnan(value)) numbers.push_back(value);
  }
  if (numbers.empty()) return std::numeric_limits<double>::quiet_NaN();
  const auto middle = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), middle, numbers.end());
  return *middle;
}

SIGHTGLASS_INLINE std::string in_words(double value) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(3) << value;
  return out.str();
}

SIGHTGLASS_INLINE Diagnosis::Diagnosis(const StatsHistory& history, const DiagnosisOptions& options)
    : options_(options), steps_(history.steps()), window_(std::min(options.recent, steps_)) {
  for (const std::string& name : history.names()) stats_.push_back({name, history.layer(name)});
  for (const Named& layer : stats_) {
    const double norm = recent(layer.stats.gradient_norm());
    if (norm > largest_gradient_) largest_gradient_ = norm;
  }
  batches_ = history.batches();
}

SIGHTGLASS_INLINE std::vector<Finding> Diagnosis::findings() {
  for (const Named& layer : stats_) {
    if (!judge_finite(layer)) continue;
    judge_activations(layer);
    judge_gradient(layer);
    judge_update(layer);
  }
  return std::move(findings_);
}

SIGHTGLASS_INLINE std::string Diagnosis::when() const {
  return window_ == 1 ? "in the last recorded batch" : "in the last " + std::to_string(window_) + " recorded batches";
}

SIGHTGLASS_INLINE void Diagnosis::warn(const Named& layer, Warning kind, double figure, const std::string& text) {
  findings_.push_back({layer.name, kind, layer.name + ": " + text, figure});
}

SIGHTGLASS_INLINE bool Diagnosis::judge_finite(const Named& layer) {
  const at::Tensor mean = layer.stats.mean();
  const at::Tensor share = layer.stats.near_zero();
  for (int64_t step = 0; mean.defined() && step < steps_; ++step) {
    const double value = mean[step].item<double>();
    // Where the layer did not run, it has no near-zero share either.
    if (std::isfinite(value) || std::isnan(share[step].item<double>())) continue;
    const int64_t batch = batches_[step].item<int64_t>();
    warn(layer, Warning::not_finite, static_cast<double>(batch),
         "its activations are not finite since batch " + std::to_string(batch) +
             ": the training has diverged; lower the learning rate, clip gradients, or look for a division by zero");
    return false;
  }
  return true;
}

SIGHTGLASS_INLINE void Diagnosis::judge_activations(const Named& layer) {
  // The last layer's scores may all be negative: that is how a classifier says no.
  const bool last = &layer == &stats_.back();
  const double near_zero = recent(layer.stats.near_zero());
  const double dead = recent(layer.stats.dead_channels());
  if (!last && near_zero > options_.dead_share) {
    warn(layer, Warning::dead_layer, near_zero,
         in_percent(near_zero) + " of its activations were near zero or negative " + when() +
             ": the layer is dead; lower the learning rate, or look at its initialisation");
  } else if (!last && dead > options_.dead_share / 2) {
    warn(layer, Warning::dead_channels, dead,
         in_percent(dead) + " of its channels stayed near zero or negative " + when() +
             ": they are dead; lower the learning rate, or look at their initialisation");
  }
  const double std = recent(layer.stats.std());
  const double before = median_of(layer.stats.std(), 0, window_);
  if (std > options_.large_std) {
    warn(layer, Warning::exploding_activations, std,
         "the standard deviation of its activations was " + in_words(std) + " " + when() +
             ": they explode; lower the learning rate, scale the initialisation down, or normalise");
  } else if (std > options_.grown_std && std > options_.growth * before) {
    warn(layer, Warning::exploding_activations, std,
         "the standard deviation of its activations grew from " + in_words(before) + " to " + in_words(std) +
             ": they explode; lower the learning rate, or normalise");
  } else if (std < options_.small_std) {
    warn(layer, Warning::vanishing_activations, std,
         "the standard deviation of its activations was " + in_words(std) + " " + when() +
             ": nothing of the input is left; scale the initialisation up, or normalise");
  }
}

SIGHTGLASS_INLINE void Diagnosis::judge_gradient(const Named& layer) {
  const double norm = recent(layer.stats.gradient_norm());
  const double ratio = norm / largest_gradient_;
  if (ratio < options_.small_gradient) {
    warn(layer, Warning::vanishing_gradient, ratio,
         "the norm of its gradient was " + in_words(ratio) + " of the largest of all layers " + when() +
             ": the gradient vanishes; use other activation functions, residual connections, or normalise");
  }
}

SIGHTGLASS_INLINE void Diagnosis::judge_update(const Named& layer) {
  const double ratio = recent(layer.stats.update_ratio());
  if (ratio > options_.large_update) {
    warn(layer, Warning::large_update, ratio,
         "a batch changed its weights by " + in_percent(ratio) + " of their norm " + when() +
             " (about 0.1 % is usual): lower the learning rate");
  } else if (ratio < options_.small_update) {
    warn(layer, Warning::small_update, ratio,
         "a batch changed its weights by " + in_percent(ratio) + " of their norm " + when() +
             " (about 0.1 % is usual): it does not learn; raise the learning rate, or see that the optimiser has it");
  }
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE std::vector<Finding> diagnose(const StatsHistory& history, const DiagnosisOptions& options) {
  return detail::Diagnosis(history, options).findings();
}

}  // namespace sightglass
