#pragma once

#include "sightglass/train/detail/batch_statistics.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE int64_t channel_dim(const torch::nn::Module* module, const at::Tensor& output) {
  namespace nn = torch::nn;
  const bool last = is_one_of<nn::LinearImpl, nn::LayerNormImpl, nn::EmbeddingImpl, nn::LSTMImpl, nn::GRUImpl,
                              nn::RNNImpl, nn::MultiheadAttentionImpl>(module);
  return last ? output.dim() - 1 : 1;
}

SIGHTGLASS_INLINE BatchStatistics::BatchStatistics(const std::vector<Layer>& layers, const Measure& measure)
    : measure_(measure) {
  for (const Layer& layer : layers) layers_.push_back({layer.name(), layer.module(), 0, {}, {}});
}

SIGHTGLASS_INLINE void BatchStatistics::note_call(size_t index, const std::vector<at::Tensor>& outputs) {
  const bool can_have_gradients = measure_.gradients && makes_graph();
  const NoGraph no_graph;
  std::vector<OfOutput> seen(outputs.size());
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].defined()) seen[i] = look_at(index, outputs[i]);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  OfLayer& layer = layers_[index];
  layer.outputs = std::move(seen);
  const size_t call = ++layer.calls;
  for (size_t i = 0; can_have_gradients && i < outputs.size(); ++i) {
    if (!outputs[i].defined() || !outputs[i].requires_grad() || outputs[i].is_leaf()) continue;
    on_gradient(outputs[i], [weak = weak_from_this(), index, call, i](const at::Tensor& gradient) {
      if (const auto alive = weak.lock()) alive->note_gradient(index, call, i, gradient);
    });
  }
}

SIGHTGLASS_INLINE void BatchStatistics::note_miss(size_t index, const std::string& why) {
  TORCH_WARN_ONCE("sightglass: layer \"", layers_[index].name, "\" could not be followed in batches: ", why,
                  "; it has no statistics there");
}

SIGHTGLASS_INLINE BatchRecord BatchStatistics::collect(int64_t number) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const NoGraph no_graph;
  std::vector<at::Tensor> pieces;
  for (const OfLayer& layer : layers_) {
    for (const OfOutput& output : layer.outputs) {
      for (const at::Tensor& piece : {output.values, output.histogram, output.gradient}) {
        if (piece.defined()) pieces.push_back(piece.to(pieces.empty() ? piece.device() : pieces.front().device()));
      }
    }
    const at::Tensor& update = layer.update;
    if (update.defined()) pieces.push_back(update.to(pieces.empty() ? update.device() : pieces.front().device()));
  }
  if (pieces.empty()) return {number, {}};
  const at::Tensor all = at::cat(pieces).to(at::kCPU);
  return read(number, all);
}

SIGHTGLASS_INLINE bool BatchStatistics::can_be_seen(const at::Tensor& tensor) {
  return tensor.layout() == at::kStrided && !tensor.is_complex() && !tensor.is_quantized() && tensor.numel() > 0;
}

SIGHTGLASS_INLINE BatchStatistics::OfOutput BatchStatistics::look_at(size_t index, const at::Tensor& output) const {
  if (!can_be_seen(output)) return {};
  const at::Tensor values = output.detach().to(at::kFloat);
  const int64_t channels_at = channel_dim(layers_[index].module.lock().get(), values);
  OfOutput seen;
  seen.values = statistics(values, channels_at, Counted::at_most, static_cast<float>(measure_.near_zero));
  if (measure_.bins > 0) seen.histogram = histogram(values, measure_.bins, measure_.low, measure_.high);
  seen.per_channel = static_cast<double>(values.numel()) / static_cast<double>(seen.values.numel() - 4);
  return seen;
}

SIGHTGLASS_INLINE void BatchStatistics::note_gradient(size_t index, size_t call, size_t output,
                                                      const at::Tensor& gradient) {
  const Unwatched unwatched;
  const NoGraph no_graph;
  if (!can_be_seen(gradient)) return;
  const at::Tensor values = gradient.detach().to(at::kFloat).reshape({-1});
  const std::lock_guard<std::mutex> lock(mutex_);
  if (layers_[index].calls != call) return;
  layers_[index].outputs[output].gradient = statistics(values, 0, Counted::equal, 0).slice(0, 0, 4);
}

SIGHTGLASS_INLINE BatchRecord BatchStatistics::read(int64_t number, const at::Tensor& all) const {
  BatchRecord record{number, {}};
  const float* at = all.data_ptr<float>();
  for (const OfLayer& layer : layers_) {
    const size_t first = record.layers.size();
    for (size_t i = 0; i < layer.outputs.size(); ++i) {
      if (!layer.outputs[i].values.defined()) continue;
      LayerRecord of_output;
      of_output.name = i == 0 ? layer.name : layer.name + "[" + std::to_string(i) + "]";
      at = read_output(layer.outputs[i], at, of_output);
      record.layers.push_back(std::move(of_output));
    }
    if (record.layers.size() == first) {
      record.layers.emplace_back();
      record.layers.back().name = layer.name;
    }
    if (layer.update.defined()) record.layers[first][Figure::update_ratio] = *at++;
  }
  return record;
}

SIGHTGLASS_INLINE const float* BatchStatistics::read_output(const OfOutput& output, const float* at,
                                                            LayerRecord& record) {
  record[Figure::mean] = at[0];
  record[Figure::std] = at[1];
  record[Figure::near_zero] = at[3];
  const int64_t channels = output.values.numel() - 4;
  const at::Tensor counts = at::from_blob(const_cast<float*>(at + 4), {channels}, at::kFloat);
  record.dead = counts.ge(output.per_channel);
  record[Figure::dead_channels] = record.dead.to(at::kFloat).mean().item<float>();
  at += output.values.numel();
  if (output.histogram.defined()) {
    record.histogram.assign(at, at + output.histogram.numel());
    at += output.histogram.numel();
  }
  if (output.gradient.defined()) {
    record[Figure::gradient_mean] = at[0];
    record[Figure::gradient_std] = at[1];
    record[Figure::gradient_norm] = at[2];
    record[Figure::gradient_zeros] = at[3];
    at += 4;
  }
  return at;
}

SIGHTGLASS_INLINE LayerWatcher::LayerWatcher(std::weak_ptr<BatchStatistics> statistics, size_t index)
    : statistics_(std::move(statistics)), index_(index) {}

SIGHTGLASS_INLINE void LayerWatcher::leave(const std::vector<at::Tensor>& /*inputs*/,
                                           std::vector<at::Tensor>& outputs) {
  if (const auto statistics = statistics_.lock()) statistics->note_call(index_, outputs);
}

SIGHTGLASS_INLINE void LayerWatcher::miss(const std::string& why) {
  if (const auto statistics = statistics_.lock()) statistics->note_miss(index_, why);
}

}  // namespace sightglass::detail
