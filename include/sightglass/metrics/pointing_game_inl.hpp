#pragma once

#include "sightglass/metrics/pointing_game.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE double energy_in(const at::Tensor& map, const Box& box) {
  TORCH_CHECK(map.dim() == 2, "map: got ", map.sizes(), ", expected [H, W]");
  TORCH_CHECK(0 <= box.x0 && box.x0 <= box.x1 && box.x1 <= map.size(1) && 0 <= box.y0 && box.y0 <= box.y1 &&
                  box.y1 <= map.size(0),
              "box: got x ", box.x0, " to ", box.x1, ", y ", box.y0, " to ", box.y1, " for a map ", map.sizes());
  const at::Tensor positive = map.nan_to_num(0, 0, 0).relu();
  const double all = positive.sum(at::kDouble).item<double>();
  const at::Tensor inside = positive.slice(0, box.y0, box.y1).slice(1, box.x0, box.x1);
  return all > 0 ? inside.sum(at::kDouble).item<double>() / all : 0;
}

SIGHTGLASS_INLINE void PointingGame::add(const Explanation& explanation, int64_t image, const Box& box, int64_t height,
                                         int64_t width) {
  TORCH_CHECK(0 <= box.x0 && box.x0 < box.x1 && box.x1 <= width && 0 <= box.y0 && box.y0 < box.y1 && box.y1 <= height,
              "box: got x ", box.x0, " to ", box.x1, ", y ", box.y0, " to ", box.y1, " for a picture of ", width, " x ",
              height, " pixels");
  const auto [x, y] = explanation.peak(image, height, width);
  hits_ += box.x0 <= x && x < box.x1 && box.y0 <= y && y < box.y1 ? 1 : 0;
  energy_ += energy_in(detail::resize_map(explanation.map(image).unsqueeze(0), {height, width}).squeeze(0), box);
  chance_ += static_cast<double>((box.x1 - box.x0) * (box.y1 - box.y0)) / static_cast<double>(height * width);
  ++count_;
}

SIGHTGLASS_INLINE double PointingGame::hit_rate() const { return mean(static_cast<double>(hits_)); }

SIGHTGLASS_INLINE double PointingGame::mean(double sum) const {
  TORCH_CHECK(count_ > 0, "pointing game: no picture was added");
  return sum / static_cast<double>(count_);
}

}  // namespace sightglass
