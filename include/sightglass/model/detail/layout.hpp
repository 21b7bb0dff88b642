#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sightglass/model/reshape.hpp"
#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/observers/axes.hpp"
#include "sightglass/trace/owner_store.hpp"

namespace sightglass::detail {

/// How a layer's output is seen as maps `[N, C, *S]`: as it is, in another shape, or not at all.
struct Layout {
  std::optional<Reshape> reshape;      ///< none: as it is
  std::vector<int64_t> shape;          ///< `[N, C, *S]`; empty where there is no telling
  std::optional<std::string> problem;  ///< why there is none, and what to do
  bool tokens = false;                 ///< `[N, T, C]`, where the input has more than one spatial dimension
  bool known = false;                  ///< the operations around it say which dimension holds channels
};

/// The grid of `count` tokens of an input of `size`: that of a convolution, or else the input's own, reduced evenly.
/// Up to `most_before` tokens before them are no places.
std::optional<std::pair<std::vector<int64_t>, int64_t>> grid_of(int64_t count,
                                                                const std::vector<std::vector<int64_t>>& grids,
                                                                at::IntArrayRef size, int64_t most_before);

/// The layout of an output `[N, ...]` of `sizes` with these `axes`, for an input `[N, C, *S]`.
Layout layout_of(at::IntArrayRef sizes, Axes axes, at::IntArrayRef input,
                 const std::vector<std::vector<int64_t>>& grids);

/// Layouts found in this process: of a layer, for a size of the input.
class C10_EXPORT LayoutStore {
 public:
  static LayoutStore& global() {
    static LayoutStore store;
    return store;
  }

  std::shared_ptr<const Layout> find(const Layer& layer, at::IntArrayRef input) const;
  void put(const Layer& layer, at::IntArrayRef input, std::shared_ptr<const Layout> layout);

 private:
  using Key = std::tuple<const void*, std::optional<std::string>, std::optional<size_t>, std::vector<int64_t>>;
  static Key key(const Layer& layer, at::IntArrayRef input);
  static std::weak_ptr<const void> lifetime_of(const Layer& layer);

  OwnerStore<Key, Layout> layouts_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/layout_inl.hpp"
#endif
