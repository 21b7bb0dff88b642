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
inline bool equal_but_rounding(const at::Tensor& one, const at::Tensor& other) {
  return one.defined() && one.sizes() == other.sizes() && one.scalar_type() == other.scalar_type() &&
         (one - other).abs().max().item<double>() <= rounding_of(other) * other.abs().max().item<double>();
}

/// For which sizes of the input a split is made: all with as many dimensions, or one.
enum class SplitFor { any_size, this_size };

/// The splits of one model, each for some layers (none: the whole model) and, where it was traced, one size of the
/// input. Copies of the model share them.
class Splits {
 public:
  /// For what a split is: layers, number of dimensions, sizes (none: any), dtype, device.
  using Key = std::tuple<std::vector<const void*>, int64_t, std::vector<int64_t>, at::ScalarType, at::Device>;

  static Key key(const std::vector<Layer>& layers, const at::Tensor& input, SplitFor sizes) {
    std::vector<const void*> places;
    for (const Layer& layer : layers) places.push_back(layer.place().key);
    std::sort(places.begin(), places.end());
    return {std::move(places), input.dim(), sizes == SplitFor::any_size ? std::vector<int64_t>() : input.sizes().vec(),
            input.scalar_type(), input.device()};
  }

  /// Null where there is none, or what it was made from has changed.
  std::shared_ptr<const Split> find(const Key& key) {
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

  /// Makes a split, and keeps it where it gives what a plain run gave. Else warns, and is not tried again.
  void learn(const Key& key, const std::function<std::shared_ptr<const Split>()>& make,
             const std::function<bool(const Split&)>& gives_the_same) {
    const NoGraph no_graph;
    std::shared_ptr<const Split> split;
    std::string why;
    try {
      split = make();
      if (!gives_the_same(*split)) why = "its results are others than those of a plain run";
    } catch (const c10::Error& error) {
      why = one_line(error.what_without_backtrace());
    } catch (const std::exception& error) {
      why = one_line(error.what());
    }
    if (!why.empty()) {
      split = nullptr;
      TORCH_WARN("sightglass: the model is not optimised ", std::get<0>(key).empty() ? "as a whole" : "for this layer",
                 ", and runs as it is: ", why);
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    if (position(key) != entries_.end()) return;
    if (entries_.size() == most) entries_.erase(entries_.begin());
    entries_.emplace_back(key, std::move(split));
  }

 private:
  static constexpr size_t most = 8;  // each holds the weights once more
  using Entries = std::vector<std::pair<Key, std::shared_ptr<const Split>>>;

  Entries::iterator position(const Key& key) {
    return std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
  }

  std::mutex mutex_;
  Entries entries_;  // the latest used last
};

}  // namespace sightglass::detail
