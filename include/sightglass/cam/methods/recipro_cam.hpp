#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "sightglass/cam/detail/chunks.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/pass.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

/// What ReciproCAM leaves of a layer around a place.
enum class Neighbourhood { none, gaussian };

/// ReciproCAM: each place of the map is the score when the layer's activations are masked to that place, and to its
/// Gaussian neighbourhood (1/4, at a side 1/8, at a corner 1/16). No gradients; signed.
///
/// One run of the rest of the model a place; one to three spatial dimensions. Byun and Lee 2022, "Recipro-CAM: Fast
/// gradient-free visual explanations for convolutional neural networks"; their code takes the softmax, as
/// `Target::softmax` does.
struct ReciproCam {
  /// What is left around a place.
  Neighbourhood neighbourhood = Neighbourhood::gaussian;
  /// How many images at once, and who is told of the progress.
  Runs runs = {};
  /// What lies behind the layer is run again.
  static constexpr Tail tail = Tail::again;

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

 private:
  /// The mask of each place: a product over dimensions of 1/2 at the place and 1/4 beside it.
  at::Tensor masks_for(const at::Tensor& a) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/recipro_cam_inl.hpp"
#endif
