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
  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    const at::Tensor masks = masks_for(a);  // [P, *S]
    const at::Tensor scores =
        detail::scores_so_far(runs, tail, a, masks.size(0), [&](int64_t image, int64_t first, int64_t last) {
          const at::Tensor kept = a[image].unsqueeze(0) * masks.slice(0, first, last).unsqueeze(1);
          return cut.scores_with(kept, detail::of_image(image, last - first));
        });
    return scores.masked_fill(~detail::were_run(scores), 0).to(a.dtype()).view(detail::map_shape(a));
  }

 private:
  /// The mask of each place: a product over dimensions of 1/2 at the place and 1/4 beside it.
  at::Tensor masks_for(const at::Tensor& a) const {
    at::Tensor masks = at::ones({1, 1}, a.options());
    std::vector<int64_t> shape{1};
    for (int64_t d = 2; d < a.dim(); ++d) {
      const int64_t length = a.size(d);
      at::Tensor along = at::eye(length, a.options());
      if (neighbourhood == Neighbourhood::gaussian) {
        along = along / 2;
        if (length > 1) {
          along.diagonal(1).fill_(.25);
          along.diagonal(-1).fill_(.25);
        }
      }
      masks = at::kron(masks, along);
      shape.push_back(length);
    }
    shape[0] = masks.size(0);
    return masks.reshape(shape);
  }
};

}  // namespace sightglass
