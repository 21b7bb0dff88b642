#pragma once

#include "sightglass/train/activation_stats.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE ActivationStatsOptions& ActivationStatsOptions::layers(WatchedLayers value) {
  return layers_ = std::move(value), *this;
}

SIGHTGLASS_INLINE ActivationStatsOptions& ActivationStatsOptions::json_lines(std::string path, Existing existing) {
  return json_lines_ = {std::move(path), existing}, *this;
}

SIGHTGLASS_INLINE ActivationStatsOptions& ActivationStatsOptions::csv(std::string path, Existing existing) {
  return csv_ = {std::move(path), existing}, *this;
}

SIGHTGLASS_INLINE ActivationStatsOptions& ActivationStatsOptions::also(Also value) {
  switch (value) {
    case Also::histograms:
      return histogram(40, 0, 10);
    case Also::gradients:
      return measure_.gradients = true, *this;
    default:
      return updates_ = true, *this;
  }
}

SIGHTGLASS_INLINE ActivationStatsOptions& ActivationStatsOptions::histogram(int64_t bins, double low, double high) {
  TORCH_CHECK(bins >= 1 && low < high, "histogram: got ", bins, " bins over [", low, ", ", high,
              "]; expected at least one bin and a range from low to high");
  measure_.bins = bins;
  measure_.low = low;
  measure_.high = high;
  return *this;
}

SIGHTGLASS_INLINE void ActivationStats::before_fit(int64_t first_batch) {
  batches_.drop();
  batches_.start_at(first_batch);
  forget_from(first_batch);
  if (json_lines_) json_lines_->forget_from(first_batch);
  if (csv_) csv_->forget_from(first_batch);
}

SIGHTGLASS_INLINE void ActivationStats::before_batch() {
  if (!batches_.begin()) return;
  const detail::Unwatched unwatched;
  for (detail::WeightCopies& copies : weights_) copies.take();
}

SIGHTGLASS_INLINE void ActivationStats::drop_batch() {
  batches_.drop();
  present_.reset();
}

SIGHTGLASS_INLINE std::shared_ptr<void> ActivationStats::watch() {
  auto watches = std::make_shared<std::vector<detail::Watch>>();
  present_ = std::make_shared<detail::BatchStatistics>(layers_, measure_);
  for (size_t i = 0; i < layers_.size(); ++i) {
    watches->emplace_back(std::make_shared<detail::LayerWatcher>(present_, i), layers_[i]);
  }
  return watches;
}

SIGHTGLASS_INLINE ActivationStats::ActivationStats(const std::shared_ptr<torch::nn::Module>& root,
                                                   const ActivationStatsOptions& options, int)
    : layers_(options.layers_.of(root)),
      measure_(options.measure_),
      batches_(
          options.every_, [root] { return root->is_training(); }, [this] { return watch(); }) {
  if (options.updates_) {
    for (const Layer& layer : layers_) {
      const auto module = layer.module();
      weights_.emplace_back(module ? module->parameters() : std::vector<at::Tensor>());
    }
  }
  std::optional<int64_t> last;
  if (const auto& file = options.json_lines_; !file.path.empty()) {
    json_lines_ = std::make_unique<detail::RecordFile>(
        file.path, file.existing, detail::LineFormat{"", detail::json_beginning, detail::batch_of_json_line});
    static_cast<StatsHistory&>(*this) = read_stats(file.path);
    last = json_lines_->last_batch();
  }
  if (const auto& file = options.csv_; !file.path.empty()) {
    csv_ = std::make_unique<detail::RecordFile>(file.path, file.existing,
                                                detail::LineFormat{detail::csv_header(), "", detail::batch_of_csv_row});
    last = std::max(last, csv_->last_batch());
  }
  batches_.start_at(last ? *last + 1 : 0);
}

SIGHTGLASS_INLINE void ActivationStats::after_batch() {
  const int64_t number = batches_.number();
  if (!batches_.end()) return;
  const detail::Unwatched unwatched;
  const std::shared_ptr<detail::BatchStatistics> present = std::exchange(present_, nullptr);
  for (size_t i = 0; i < weights_.size(); ++i) present->note_update(i, weights_[i].ratio());
  const BatchRecord record = present->collect(number);
  append(record);
  if (json_lines_) json_lines_->write(detail::to_json_line(record));
  if (csv_) csv_->write(detail::to_csv_rows(record));
}

}  // namespace sightglass
