#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/train/detail/batch_statistics.hpp"
#include "sightglass/train/record_file.hpp"
#include "sightglass/train/recorded_batches.hpp"
#include "sightglass/train/stats_export.hpp"
#include "sightglass/train/stats_history.hpp"
#include "sightglass/train/watched_layers.hpp"
#include "sightglass/train/detail/weight_update.hpp"

namespace sightglass {

/// What `ActivationStats` records on request, besides mean, standard deviation, near-zero share and dead channels.
enum class Also { histograms, gradients, updates };

/// Options of `ActivationStats`, with chained setters.
struct ActivationStatsOptions {
  /// Leaves with parameters; or `Paramless::include`, names, layers, a filter.
  ActivationStatsOptions& layers(WatchedLayers value);
  /// Each batch whose number is a multiple of it.
  ActivationStatsOptions& every(int64_t value) { return every_ = value, *this; }
  /// Updates need a copy of the parameters of the layers watched.
  ActivationStatsOptions& also(Also value);
  /// Histograms of `bins` bins over [low, high]; values outside are not counted. fastai's: 40 over [0, 10].
  ActivationStatsOptions& histogram(int64_t bins, double low, double high);
  /// Values at or below it are near zero (signed, as in fastai).
  ActivationStatsOptions& near_zero(double value) { return measure_.near_zero = value, *this; }
  /// Writes each record to a file of JSON lines. One that exists is resumed: its records are read back first.
  ActivationStatsOptions& json_lines(std::string path, Existing existing = Existing::append);
  /// Writes each record to a table, a row a layer, without histograms. One that exists is appended to.
  ActivationStatsOptions& csv(std::string path, Existing existing = Existing::append);

 private:
  friend class ActivationStats;
  struct File {
    std::string path;
    Existing existing = Existing::append;
  };
  WatchedLayers layers_;
  int64_t every_ = 1;
  detail::Measure measure_;
  bool updates_ = false;
  File json_lines_;
  File csv_;
};

/// fastai's `ActivationStats`: watches a model learn. Statistics of what its layers give (their last call) in every
/// n-th batch of a training loop, on an unchanged model; the weights become what they would be without it.
///
///     sg::ActivationStats stats(net, sg::ActivationStatsOptions().every(20));
///     const auto fit = stats.fit();
///     for (auto& [x, y] : loader) {
///       const auto batch = fit.batch();   // forward, backward, step
///
/// Each output of a layer with several (tuples are flattened) has statistics of its own: `lstm`, `lstm[1]`, `lstm[2]`.
/// All is computed in single precision on the activations' device and copied to the CPU once for each recorded batch.
/// A loop may also make the four calls itself. Several trainings add up. Belongs, during a batch, to the thread that
/// began it; keeps the model alive.
class ActivationStats : public StatsHistory {
 public:
  /// Watches `model`: a handle, a shared pointer, or the module itself. Throws `c10::Error` for layers that cannot
  /// be watched.
  template <class Model, class = std::enable_if_t<detail::is_module_like<Model>>>
  explicit ActivationStats(const Model& model, const ActivationStatsOptions& options = {})
      : ActivationStats(detail::root_of(model), options, 0) {}
  ActivationStats(const ActivationStats&) = delete;
  ActivationStats& operator=(const ActivationStats&) = delete;

  /// Goes on counting batches where the last training, or the file that is resumed, ended.
  void before_fit() { batches_.drop(); }
  /// Goes on at batch `first_batch`, as a training resumed from a checkpoint does: what was recorded from there on, in
  /// files too, is forgotten.
  void before_fit(int64_t first_batch);
  /// Before the forward pass.
  void before_batch();
  /// After the optimiser's step: records the batch. Throws `c10::Error` where a file cannot be written.
  void after_batch();
  /// The present batch is given up: it leaves no record and does not count.
  void drop_batch();
  /// Ends the training; a batch that has not ended leaves no record.
  void after_fit() { drop_batch(); }

  /// The calls as scopes.
  FitScope<ActivationStats> fit() { return FitScope<ActivationStats>(*this); }
  /// The same from batch `first_batch` on, see `before_fit`.
  FitScope<ActivationStats> fit(int64_t first_batch) { return FitScope<ActivationStats>(*this, first_batch); }

 private:
  ActivationStats(const std::shared_ptr<torch::nn::Module>& root, const ActivationStatsOptions& options, int);

  std::shared_ptr<void> watch();

  std::vector<Layer> layers_;
  detail::Measure measure_;
  detail::RecordedBatches batches_;
  std::shared_ptr<detail::BatchStatistics> present_;
  std::vector<detail::WeightCopies> weights_;  ///< of each layer; empty when not requested
  std::unique_ptr<detail::RecordFile> json_lines_;
  std::unique_ptr<detail::RecordFile> csv_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/activation_stats_inl.hpp"
#endif
