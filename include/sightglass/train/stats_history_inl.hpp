#pragma once

#include "sightglass/train/stats_history.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE at::Tensor LayerStats::figure(Figure which) const {
  const auto index = static_cast<size_t>(which);
  return present_[index] ? table_.select(1, static_cast<int64_t>(index)) : at::Tensor();
}

SIGHTGLASS_INLINE at::Tensor LayerStats::dead(int64_t step) const {
  TORCH_CHECK(step >= 0 && step < steps(), "step: got ", step, "; there are ", steps(), " recorded batches");
  return dead_[static_cast<size_t>(step)];
}

SIGHTGLASS_INLINE int64_t LayerStats::steps() const { return static_cast<int64_t>(dead_.size()); }

SIGHTGLASS_INLINE int64_t StatsHistory::steps() const { return static_cast<int64_t>(batches_.size()); }

SIGHTGLASS_INLINE LayerStats StatsHistory::layer(const std::string& name) const {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == name) return layer(i);
  }
  TORCH_CHECK(false, "layer \"", name,
              "\": no statistics of it were recorded; nearest: ", detail::nearest(name, names_),
              "; names() lists them all");
}

SIGHTGLASS_INLINE LayerStats StatsHistory::layer(size_t index) const {
  TORCH_CHECK(index < size(), "layer: got index ", index, "; there are ", size(), " layers");
  const Records& records = records_[index];
  LayerStats stats;
  stats.table_ = at::full({steps(), static_cast<int64_t>(figure_count)}, std::nan(""), at::kFloat);
  auto cells = stats.table_.accessor<float, 2>();
  for (int64_t step = 0; step < steps(); ++step) {
    for (size_t i = 0; i < figure_count; ++i) {
      const auto& value = records[static_cast<size_t>(step)].figures[i];
      if (!value) continue;
      stats.present_[i] = true;
      cells[step][static_cast<int64_t>(i)] = *value;
    }
    stats.dead_.push_back(records[static_cast<size_t>(step)].dead);
  }
  stats.histograms_ = histograms_of(records);
  return stats;
}

SIGHTGLASS_INLINE std::vector<at::Tensor> StatsHistory::layer_stats(size_t index) const {
  const LayerStats stats = layer(index);
  return {stats.mean(), stats.std(), stats.near_zero()};
}

SIGHTGLASS_INLINE at::Tensor StatsHistory::hist(size_t index) const {
  const at::Tensor histograms = layer(index).histograms();
  TORCH_CHECK(histograms.defined(), "hist: no histograms of layer \"", names_[index],
              "\" were recorded; ask for them with ActivationStatsOptions().also(Also::histograms)");
  return histograms.t().log1p();
}

SIGHTGLASS_INLINE void StatsHistory::append(const BatchRecord& record) {
  for (const LayerRecord& layer : record.layers) {
    size_t index = 0;
    while (index < names_.size() && names_[index] != layer.name) ++index;
    if (index == names_.size()) {
      names_.push_back(layer.name);
      records_.emplace_back(batches_.size());
    }
    records_[index].push_back(layer);
    records_[index].back().name.clear();
  }
  batches_.push_back(record.batch);
  for (Records& records : records_) records.resize(batches_.size());
}

SIGHTGLASS_INLINE void StatsHistory::forget_from(int64_t batch) {
  while (!batches_.empty() && batches_.back() >= batch) batches_.pop_back();
  for (Records& records : records_) records.resize(batches_.size());
}

SIGHTGLASS_INLINE at::Tensor StatsHistory::histograms_of(const Records& records) {
  size_t bins = 0;
  for (const LayerRecord& record : records) bins = std::max(bins, record.histogram.size());
  if (bins == 0) return {};
  at::Tensor all = at::full({static_cast<int64_t>(records.size()), static_cast<int64_t>(bins)}, 0, at::kFloat);
  for (size_t step = 0; step < records.size(); ++step) {
    const std::vector<float>& row = records[step].histogram;
    std::copy(row.begin(), row.end(), all.data_ptr<float>() + step * bins);
  }
  return all;
}

}  // namespace sightglass
