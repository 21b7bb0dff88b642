#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/script/split.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass::detail {

/// How far two ways to the same values may lie apart by rounding, as a share of the largest. CUDA's convolutions of
/// float32 see 11 bits of it (TF32) unless they are told not to.
inline double rounding_of(const at::Tensor& values) {
  const bool in_eleven_bits =
      values.scalar_type() == at::kHalf ||
      (values.is_cuda() && values.scalar_type() == at::kFloat && at::globalContext().allowTF32CuDNN());
  return values.scalar_type() == at::kBFloat16 ? 5e-2 : in_eleven_bits ? 1e-2 : 1e-3;
}

/// True where `one` is `other` but for rounding.
inline bool agrees(const at::Tensor& one, const at::Tensor& other) {
  return one.defined() && one.sizes() == other.sizes() && one.scalar_type() == other.scalar_type() &&
         (one - other).abs().max().item<double>() <= rounding_of(other) * other.abs().max().item<double>();
}

/// The splits of one model, each for some layers and, where it was traced, one size of the input.
class Splits {
 public:
  using Split = std::shared_ptr<const detail::Split>;
  /// For what a split is: layers, sizes (-1: any), dtype, device.
  using Key = std::tuple<std::vector<const void*>, std::vector<int64_t>, at::ScalarType, at::Device>;

  static Key key(const std::vector<Layer>& layers, const at::Tensor& input, bool any_size) {
    std::vector<const void*> places;
    for (const Layer& layer : layers) places.push_back(layer.place().key);
    std::sort(places.begin(), places.end());
    std::vector<int64_t> sizes = input.sizes().vec();
    if (any_size) std::fill(sizes.begin(), sizes.end(), -1);
    return {places, sizes, input.scalar_type(), input.device()};
  }

  /// Null where there is none, or what it was made from has changed.
  Split find(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto entry = position(key);
    if (entry == entries_.end()) return nullptr;
    if (entry->second != nullptr && entry->second->stale()) {
      entries_.erase(entry);
      return nullptr;
    }
    std::rotate(entry, entry + 1, entries_.end());
    return entries_.back().second;
  }
  /// Whether nobody has tried to make this one.
  bool misses(const Key& key) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return position(key) == entries_.end();
  }

  /// Makes a split, and keeps it where it gives what a plain pass gave: `activations_at(place)`, and `output`. Else
  /// warns, and is not tried again.
  void learn(const Key& key, const std::function<Split()>& make, const at::Tensor& input,
             const std::function<at::Tensor(const void* place)>& activations_at, const at::Tensor& output) {
    const NoGraph no_graph;
    Split split;
    std::string why;
    try {
      split = make();
      const at::Tensor activations = activations_at(split->place());
      const bool right = agrees(split->prefix(input), activations) && agrees(split->tail(activations, input), output);
      if (!right) why = "its results are others than those of a plain run";
    } catch (const c10::Error& error) {
      why = one_line(error.what_without_backtrace());
    } catch (const std::exception& error) {
      why = one_line(error.what());
    }
    if (!why.empty()) {
      split = nullptr;
      TORCH_WARN("sightglass: the model is not optimised for this layer, and runs as it is: ", why);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (position(key) != entries_.end()) return;
    if (entries_.size() == most) entries_.erase(entries_.begin());
    entries_.emplace_back(key, std::move(split));
  }

 private:
  static constexpr size_t most = 8;  // each holds the weights once more
  using Entries = std::vector<std::pair<Key, Split>>;

  Entries::iterator position(const Key& key) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
  }

  std::mutex mutex_;
  Entries entries_;  // the latest used last
};

}  // namespace sightglass::detail
