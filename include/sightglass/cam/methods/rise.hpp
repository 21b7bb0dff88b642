#pragma once

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/explanation.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/cam/detail/random.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/tensors.hpp"
#include "sightglass/cam/methods/score_cam.hpp"

namespace sightglass {

/// RISE: the mean of random masks, weighted by the score of the masked input: `sum_i score(x * m_i) m_i / (n p)`. Looks
/// at input and output only; the layer does not matter.
///
/// A mask is a grid of `cells` by `cells` that are 1 with `probability`, enlarged bilinearly and shifted at random. The
/// map is `[N, *S]`, the input's size. The same masks for the same seed, for each image. Petsiuk et al. 2018, "RISE:
/// Randomized Input Sampling for Explanation of Black-box Models"; their scores are probabilities, as
/// `Target::softmax` gives them.
struct Rise {
  /// How many masks, a run of the model each.
  int64_t samples = 4000;
  /// Of a mask's grid, in each dimension.
  int64_t cells = 7;
  /// That a cell is kept.
  double probability = 0.5;
  /// The same seed gives the same map.
  uint64_t seed = 0;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

 private:
  at::Tensor mask(const at::Tensor& x, uint64_t number) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/rise_inl.hpp"
#endif
