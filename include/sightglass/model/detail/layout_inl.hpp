#pragma once

#include "sightglass/model/detail/layout.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::optional<std::pair<std::vector<int64_t>, int64_t>> grid_of(
    int64_t count, const std::vector<std::vector<int64_t>>& grids, at::IntArrayRef size, int64_t most_before) {
  std::optional<std::pair<std::vector<int64_t>, int64_t>> best;
  for (const auto& grid : grids) {
    if (grid.size() != size.size()) continue;
    int64_t places = 1;
    for (const int64_t length : grid) places *= length;
    const int64_t before = count - places;
    if (places > 1 && before >= 0 && before <= most_before && (!best || before <= best->second))
      best = {{grid, before}};
  }
  if (best || size.size() != 2) return best;
  const auto step = static_cast<int64_t>(
      std::llround(std::sqrt(static_cast<double>(size[0] * size[1]) / static_cast<double>(count))));
  const bool even =
      step > 0 && size[0] % step == 0 && size[1] % step == 0 && size[0] / step * (size[1] / step) == count;
  if (even && count > 1) best = {{{size[0] / step, size[1] / step}, 0}};
  return best;
}

SIGHTGLASS_INLINE Layout layout_of(at::IntArrayRef sizes, Axes axes, at::IntArrayRef input,
                                   const std::vector<std::vector<int64_t>>& grids) {
  const auto dims = static_cast<int64_t>(sizes.size());
  const bool known = axes != Axes::unknown;
  if (dims == static_cast<int64_t>(input.size()) || dims != 3 || input.size() < 4) {
    if (axes != Axes::channels_last || dims < 3) return {std::nullopt, sizes.vec(), std::nullopt, false, known};
    std::vector<int64_t> shape = sizes.vec();
    shape.insert(shape.begin() + 1, shape.back());
    shape.pop_back();
    return {Reshape::channels_last(), shape, std::nullopt, false, known};
  }
  const at::IntArrayRef size = input.slice(2);
  const auto along_one =
      axes == Axes::channels_first ? std::nullopt : grid_of(sizes[1], grids, size, Limits::tokens_before);
  const auto along_last = axes == Axes::channels_last ? std::nullopt : grid_of(sizes[2], grids, size, 0);
  const bool tokens = along_one && (!along_last || axes == Axes::channels_last || along_one->second == 0);
  const auto& found = tokens ? along_one : along_last;
  if (!found || (along_one && along_last && sizes[1] == sizes[2])) {
    return {std::nullopt,
            {},
            c10::str("its output is ", sizes, " for an input ", input,
                     ", and which of it are places cannot be told; say it: "
                     "sightglass::Reshaped<sightglass::GradCam>{{}, sightglass::Reshape::tokens(height, width, skip)}"),
            true,
            known};
  }
  std::vector<int64_t> shape{sizes[0], tokens ? sizes[2] : sizes[1]};
  shape.insert(shape.end(), found->first.begin(), found->first.end());
  const Reshape reshape = tokens ? Reshape::tokens(found->first, found->second) : Reshape::flat(found->first);
  return {reshape, shape, std::nullopt, true, known};
}

SIGHTGLASS_INLINE std::shared_ptr<const Layout> LayoutStore::find(const Layer& layer, at::IntArrayRef input) const {
  return layouts_.find(key(layer, input), lifetime_of(layer));
}

SIGHTGLASS_INLINE void LayoutStore::put(const Layer& layer, at::IntArrayRef input,
                                        std::shared_ptr<const Layout> layout) {
  layouts_.put(key(layer, input), lifetime_of(layer), std::move(layout));
}

SIGHTGLASS_INLINE LayoutStore::Key LayoutStore::key(const Layer& layer, at::IntArrayRef input) {
  return {layer.place().key, layer.place().output, layer.place().call, input.slice(1).vec()};
}

SIGHTGLASS_INLINE std::weak_ptr<const void> LayoutStore::lifetime_of(const Layer& layer) {
  return layer.place().owner != nullptr ? layer.place().owner->lifetime()
                                        : std::weak_ptr<const void>(layer.place().module);
}

}  // namespace sightglass::detail
