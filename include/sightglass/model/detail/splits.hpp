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
#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/script/split.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass::detail {

/// How far two ways to the same values may lie apart by rounding, as a share of the largest. CUDA's convolutions of
/// float32 see 11 bits of it (TF32) unless they are told not to.
double rounding_of(const at::Tensor& values);

/// True where `one` is `other` but for rounding.
bool equal_but_rounding(const at::Tensor& one, const at::Tensor& other);

/// For which sizes of the input a split is made: all with as many dimensions, or one.
enum class SplitFor { any_size, this_size };

/// The splits of one model, each for some layers (none: the whole model) and, where it was traced, one size of the
/// input. Copies of the model share them.
class Splits {
 public:
  /// For what a split is: layers, number of dimensions, sizes (none: any), dtype, device.
  using Key = std::tuple<std::vector<const void*>, int64_t, std::vector<int64_t>, at::ScalarType, at::Device>;

  static Key key(const std::vector<Layer>& layers, const at::Tensor& input, SplitFor sizes);

  /// Null where there is none, or what it was made from has changed.
  std::shared_ptr<const Split> find(const Key& key);
  /// Whether nobody has tried to make this one.
  bool misses(const Key& key);

  /// Makes a split, and keeps it where it gives what a plain run gave. Else warns, and is not tried again.
  void learn(const Key& key, const std::function<std::shared_ptr<const Split>()>& make,
             const std::function<bool(const Split&)>& gives_the_same);

 private:
  using Entries = std::vector<std::pair<Key, std::shared_ptr<const Split>>>;

  Entries::iterator position(const Key& key);

  std::mutex mutex_;
  Entries entries_;  // the latest used last
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/splits_inl.hpp"
#endif
