#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/from_blob.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/modules/rnn.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/trace/gradient.hpp"
#include "sightglass/train/detail/histogram.hpp"
#include "sightglass/train/detail/moments.hpp"
#include "sightglass/train/stats_history.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/subscriber.hpp"

namespace sightglass::detail {

/// What is measured of each output.
struct Measure {
  double near_zero = 0.05;
  int64_t bins = 0;  ///< none: no histograms
  double low = 0;
  double high = 10;
  bool gradients = false;
};

template <class... Impls>
bool is_one_of(const torch::nn::Module* module) {
  return ((dynamic_cast<const Impls*>(module) != nullptr) || ...);
}

/// Where the channels of a layer's output are: last for those that work on features, else the second dimension.
int64_t channel_dim(const torch::nn::Module* module, const at::Tensor& output);

/// The statistics of one recorded batch, on the device until `collect` copies them all at once.
class BatchStatistics : public std::enable_shared_from_this<BatchStatistics> {
 public:
  BatchStatistics(const std::vector<Layer>& layers, const Measure& measure);

  /// A layer was called: its outputs take the place of those of an earlier call.
  void note_call(size_t index, const std::vector<at::Tensor>& outputs);

  /// A call could not be followed: the batch has no record of the layer.
  void note_miss(size_t index, const std::string& why);

  void note_update(size_t index, const at::Tensor& ratio) { layers_[index].update = ratio; }

  /// Copies everything to the CPU, in one piece.
  BatchRecord collect(int64_t number);

 private:
  struct OfOutput {
    at::Tensor values;  ///< statistics, then near-zero values of each channel
    at::Tensor histogram;
    at::Tensor gradient;
    double per_channel = 0;  ///< values of one channel
  };
  struct OfLayer {
    std::string name;
    std::weak_ptr<torch::nn::Module> module;
    size_t calls = 0;
    std::vector<OfOutput> outputs;
    at::Tensor update;
  };

  static bool can_be_seen(const at::Tensor& tensor);

  OfOutput look_at(size_t index, const at::Tensor& output) const;

  void note_gradient(size_t index, size_t call, size_t output, const at::Tensor& gradient);

  /// Takes apart what `collect` put together.
  BatchRecord read(int64_t number, const at::Tensor& all) const;

  /// Returns where the next one begins.
  static const float* read_output(const OfOutput& output, const float* at, LayerRecord& record);

  Measure measure_;
  std::mutex mutex_;
  std::vector<OfLayer> layers_;
};

/// Tells a batch's statistics of the calls of one layer.
class LayerWatcher final : public Subscriber {
 public:
  LayerWatcher(std::weak_ptr<BatchStatistics> statistics, size_t index);

  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;
  SIGHTGLASS_INLINE void miss(const std::string& why) override;
  bool wants_inputs() const override { return false; }

 private:
  std::weak_ptr<BatchStatistics> statistics_;
  size_t index_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/detail/batch_statistics_inl.hpp"
#endif
