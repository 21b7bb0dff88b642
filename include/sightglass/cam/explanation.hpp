#pragma once

#include <ATen/ATen.h>

#include <cmath>
#include <string>
#include <utility>
#include <vector>

namespace sightglass {

/// How a map came out, for each image.
enum class Status {
  ok,
  no_positive_evidence,  ///< nothing in the map speaks for the target: no element is above 0
  zero_gradient,         ///< the target's score does not react to the layer: a saturated or unused output
  not_finite,            ///< NaN or infinity in the map or in the gradients
};

/// The status in words, as its enumerator is called.
inline const char* to_string(Status status) {
  switch (status) {
    case Status::ok:
      return "ok";
    case Status::no_positive_evidence:
      return "no_positive_evidence";
    case Status::zero_gradient:
      return "zero_gradient";
    case Status::not_finite:
      return "not_finite";
  }
  return "unknown";
}

namespace detail {

/// Linear, bilinear or trilinear enlargement of `[N, *S]`, `align_corners` false: a map's element covers its share of
/// the picture and is centred on it.
inline at::Tensor resize_map(const at::Tensor& map, at::IntArrayRef size) {
  const int64_t spatial = map.dim() - 1;
  TORCH_CHECK(static_cast<int64_t>(size.size()) == spatial, "size: got ", size, " for a map with ", spatial,
              " spatial dimensions");
  for (const int64_t length : size) TORCH_CHECK(length > 0, "size: got ", size, "; lengths must be above 0");
  const at::Tensor planes = map.unsqueeze(1);
  const at::Tensor resized = spatial == 1   ? at::upsample_linear1d(planes, size, false)
                             : spatial == 2 ? at::upsample_bilinear2d(planes, size, false)
                                            : at::upsample_trilinear3d(planes, size, false);
  return resized.squeeze(1);
}

}  // namespace detail

/// Maps of one batch, one layer, one method and one target, and what goes with them.
class Explanation {
 public:
  /// `map` `[N, *S]`, `scores` `[N]`, `targets` `[N]` int64; `input_size`: the spatial size of what the model was
  /// given; `gradient_size` `[N]`: the largest magnitude among each image's gradients, undefined for methods without.
  Explanation(at::Tensor map, at::Tensor scores, at::Tensor targets, std::vector<int64_t> input_size,
              at::Tensor gradient_size = {})
      : map_(std::move(map)),
        scores_(std::move(scores)),
        targets_(std::move(targets)),
        input_size_(std::move(input_size)),
        gradient_size_(std::move(gradient_size)) {}

  /// The maps as the method gives them, signed or rectified, neither normalised nor resized: `[N, h, w]`.
  const at::Tensor& map() const { return map_; }
  /// The map of one image, `[h, w]`.
  at::Tensor map(int64_t image) const { return map_.select(0, checked(image)); }

  /// The explained number of each image, `[N]`.
  const at::Tensor& scores() const { return scores_; }
  /// The explained class of each image, `[N]` int64; -1 where the target is no class.
  const at::Tensor& targets() const { return targets_; }

  /// The spatial size of what the model was given.
  const std::vector<int64_t>& input_size() const { return input_size_; }

  /// Each map brought to [0, 1] by its own minimum and maximum. A constant map becomes 0; never NaN.
  at::Tensor normalised() const {
    const auto or_one = [](const at::Tensor& divisor) {
      return at::where(divisor > 0, divisor, at::ones_like(divisor));
    };
    at::Tensor finite = at::nan_to_num(map_, 0.0, 0.0, 0.0).flatten(1);
    finite = finite / or_one(finite.abs().amax(1, true));  // first, or the range of very large values is infinite
    const at::Tensor low = finite.amin(1, true);
    const at::Tensor scaled = (finite - low) / or_one(finite.amax(1, true) - low);
    return scaled.view(map_.sizes());
  }

  /// The maps enlarged to a picture's size, bilinearly with `align_corners` false: `[N, height, width]`.
  at::Tensor resized(int64_t height, int64_t width) const { return detail::resize_map(map_, {height, width}); }
  /// The same for one to three spatial dimensions.
  at::Tensor resized(at::IntArrayRef size) const { return detail::resize_map(map_, size); }

  /// Where the enlarged map of one image is highest: x and y, in pixels of the model's input.
  std::pair<int64_t, int64_t> peak(int64_t image) const {
    TORCH_CHECK(input_size_.size() == 2, "peak: only maps with two spatial dimensions have x and y; got ",
                map_.sizes());
    return peak(image, input_size_[0], input_size_[1]);
  }
  /// The same in pixels of a picture of another size.
  std::pair<int64_t, int64_t> peak(int64_t image, int64_t height, int64_t width) const {
    const at::Tensor enlarged = detail::resize_map(map(image).unsqueeze(0), {height, width});
    const auto index = at::nan_to_num(enlarged, -INFINITY).argmax().item<int64_t>();
    return {index % width, index / width};
  }

  /// How the map of one image came out; computed when asked for.
  Status status(int64_t image) const {
    const at::Tensor one = map(image);
    const bool has_gradient = gradient_size_.defined();
    const double gradient = has_gradient ? gradient_size_[image].item<double>() : 1.0;
    if (!std::isfinite(gradient) || !one.isfinite().all().item<bool>()) return Status::not_finite;
    if (gradient == 0.0) return Status::zero_gradient;
    return one.max().item<double>() > 0.0 ? Status::ok : Status::no_positive_evidence;
  }

 private:
  int64_t checked(int64_t image) const {
    TORCH_CHECK(image >= 0 && image < map_.size(0), "image: got ", image, ", the batch has ", map_.size(0));
    return image;
  }

  at::Tensor map_;
  at::Tensor scores_;
  at::Tensor targets_;
  std::vector<int64_t> input_size_;
  at::Tensor gradient_size_;
};

}  // namespace sightglass
