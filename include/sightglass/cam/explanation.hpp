#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace sightglass {

/// Whether a map says something, or why not, for each image.
enum class Status {
  ok,
  no_positive_evidence,  ///< nothing in the map speaks for the target: no element is above 0
  zero_gradient,         ///< the target's score does not react to the layer: a saturated or unused output
  not_finite,            ///< NaN or infinity in the map or in the gradients
};

/// The status in words, as its enumerator is called.
const char* to_string(Status status);

namespace detail {

/// Linear, bilinear or trilinear enlargement of `[N, *S]`, `align_corners` false: a map's element covers its share of
/// the picture and is centred on it.
at::Tensor resize_map(const at::Tensor& map, at::IntArrayRef size);

}  // namespace detail

/// Maps of one batch, one layer, one method and one target, and what goes with them.
class Explanation {
 public:
  /// `map` `[N, *S]`, `scores` `[N]`, `targets` `[N]` int64; `input_size`: the spatial size of what the model was
  /// given; `gradient_size` `[N]`: the largest magnitude among each image's gradients, undefined for methods without.
  Explanation(at::Tensor map, at::Tensor scores, at::Tensor targets, std::vector<int64_t> input_size,
              at::Tensor gradient_size = {});

  /// The maps as the method gives them, signed or rectified, neither normalised nor resized: `[N, h, w]`.
  const at::Tensor& map() const;
  /// The map of one image, `[h, w]`.
  at::Tensor map(int64_t image) const;

  /// The explained number of each image, `[N]`.
  const at::Tensor& scores() const { return scores_; }
  /// The explained class of each image, `[N]` int64; -1 where the target is no class.
  const at::Tensor& targets() const { return targets_; }

  /// The spatial size of what the model was given.
  const std::vector<int64_t>& input_size() const { return input_size_; }

  /// Each map brought to [0, 1] by its own minimum and maximum. A constant map becomes 0; never NaN.
  at::Tensor normalised() const;

  /// The maps enlarged to a picture's size, bilinearly with `align_corners` false: `[N, height, width]`.
  at::Tensor resized(int64_t height, int64_t width) const;
  /// The same for one to three spatial dimensions.
  at::Tensor resized(at::IntArrayRef size) const;

  /// Where the enlarged map of one image is highest: x and y, in pixels of the model's input.
  std::pair<int64_t, int64_t> peak(int64_t image) const;
  /// The same in pixels of a picture of another size.
  std::pair<int64_t, int64_t> peak(int64_t image, int64_t height, int64_t width) const;

  /// The status of one image's map; computed when asked for.
  Status status(int64_t image) const;

 private:
  int64_t checked(int64_t image) const;

  at::Tensor map_;
  at::Tensor scores_;
  at::Tensor targets_;
  std::vector<int64_t> input_size_;
  at::Tensor gradient_size_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/explanation_inl.hpp"
#endif
