#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>

#include "sightglass/cam/explanation.hpp"

namespace sightglass {

/// Where an object lies, in pixels: `x0, y0` inclusive, `x1, y1` exclusive.
struct Box {
  int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;
};

/// The share of a map's positive values that lies in `box` (Wang et al. 2020, Score-CAM: the energy-based pointing
/// game); 0 for a map that has none, and for an empty box. What is not finite counts as 0.
///
/// `map` `[H, W]`, of the pixels that the box is in: `explanation.resized(height, width)[image]`. Throws `c10::Error`
/// for another shape, and for a box that is not in it. The chance level is the box's share of the pixels.
double energy_in(const at::Tensor& map, const Box& box);

/// The pointing game (Zhang et al. 2016, "Top-down Neural Attention by Excitation Backprop"): does the map's highest
/// pixel lie on the object? And beside it the energy-based one, `energy_in`.
///
/// Counts picture by picture. The chance level of both is the mean share of a picture that its box covers: what a
/// random pixel hits, and a constant map gives.
class PointingGame {
 public:
  /// Image number `image` of `explanation`, whose map is enlarged to the picture's `height` and `width`, in which the
  /// box is. Throws `c10::Error` for a box that is empty or not in the picture.
  void add(const Explanation& explanation, int64_t image, const Box& box, int64_t height, int64_t width);

  /// Pictures whose peak lies in the box.
  int64_t hits() const { return hits_; }
  /// Pictures in all.
  int64_t count() const { return count_; }
  /// Share of pictures whose peak lies in the box.
  double hit_rate() const;
  /// Mean share of the map's positive values in the box; 0 for a picture without any.
  double energy() const { return mean(energy_); }
  /// The chance level of both.
  double chance() const { return mean(chance_); }

 private:
  double mean(double sum) const;

  int64_t hits_ = 0;
  int64_t count_ = 0;
  double energy_ = 0;
  double chance_ = 0;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/metrics/pointing_game_inl.hpp"
#endif
