#pragma once

#include "sightglass/model/detail/splits.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE double rounding_of(const at::Tensor& values) {
  const bool in_eleven_bits =
      values.scalar_type() == at::kHalf ||
      (values.is_cuda() && values.scalar_type() == at::kFloat && at::globalContext().allowTF32CuDNN());
  return values.scalar_type() == at::kBFloat16 ? 5e-2 : in_eleven_bits ? 1e-2 : 1e-3;
}

SIGHTGLASS_INLINE bool equal_but_rounding(const at::Tensor& one, const at::Tensor& other) {
  return one.defined() && one.sizes() == other.sizes() && one.scalar_type() == other.scalar_type() &&
         (one - other).abs().max().item<double>() <= rounding_of(other) * other.abs().max().item<double>();
}

SIGHTGLASS_INLINE Splits::Key Splits::key(const std::vector<Layer>& layers, const at::Tensor& input, SplitFor sizes) {
  std::vector<const void*> places;
  for (const Layer& layer : layers) places.push_back(layer.place().key);
  std::sort(places.begin(), places.end());
  return {std::move(places), input.dim(), sizes == SplitFor::any_size ? std::vector<int64_t>() : input.sizes().vec(),
          input.scalar_type(), input.device()};
}

SIGHTGLASS_INLINE std::shared_ptr<const Split> Splits::find(const Key& key) {
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

SIGHTGLASS_INLINE bool Splits::misses(const Key& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return position(key) == entries_.end();
}

SIGHTGLASS_INLINE void Splits::learn(const Key& key, const std::function<std::shared_ptr<const Split>()>& make,
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
  if (entries_.size() == Limits::splits) entries_.erase(entries_.begin());
  entries_.emplace_back(key, std::move(split));
}

SIGHTGLASS_INLINE Splits::Entries::iterator Splits::position(const Key& key) {
  return std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
}

}  // namespace sightglass::detail
