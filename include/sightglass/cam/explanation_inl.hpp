#pragma once

#include "sightglass/cam/explanation.hpp"

#include "sightglass/inline.hpp"

namespace sightglass {

SIGHTGLASS_INLINE const char* to_string(Status status) {
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

}  // namespace sightglass

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor resize_map(const at::Tensor& map, at::IntArrayRef size) {
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

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE Explanation::Explanation(at::Tensor map, at::Tensor scores, at::Tensor targets,
                                           std::vector<int64_t> input_size, at::Tensor gradient_size)
    : map_(std::move(map)),
      scores_(std::move(scores)),
      targets_(std::move(targets)),
      input_size_(std::move(input_size)),
      gradient_size_(std::move(gradient_size)) {}

SIGHTGLASS_INLINE const at::Tensor& Explanation::map() const { return map_; }

SIGHTGLASS_INLINE at::Tensor Explanation::map(int64_t image) const { return map_.select(0, checked(image)); }

SIGHTGLASS_INLINE at::Tensor Explanation::normalised() const {
  const auto or_one = [](const at::Tensor& divisor) { return at::where(divisor > 0, divisor, at::ones_like(divisor)); };
  at::Tensor finite = at::nan_to_num(map_, 0.0, 0.0, 0.0).flatten(1);
  finite = finite / or_one(finite.abs().amax(1, true));  // first, or the range of very large values is infinite
  const at::Tensor low = finite.amin(1, true);
  const at::Tensor scaled = (finite - low) / or_one(finite.amax(1, true) - low);
  return scaled.view(map_.sizes());
}

SIGHTGLASS_INLINE at::Tensor Explanation::resized(int64_t height, int64_t width) const {
  return detail::resize_map(map_, {height, width});
}

SIGHTGLASS_INLINE at::Tensor Explanation::resized(at::IntArrayRef size) const { return detail::resize_map(map_, size); }

SIGHTGLASS_INLINE std::pair<int64_t, int64_t> Explanation::peak(int64_t image) const {
  TORCH_CHECK(input_size_.size() == 2, "peak: only maps with two spatial dimensions have x and y; got ", map_.sizes());
  return peak(image, input_size_[0], input_size_[1]);
}

SIGHTGLASS_INLINE std::pair<int64_t, int64_t> Explanation::peak(int64_t image, int64_t height, int64_t width) const {
  const at::Tensor enlarged = detail::resize_map(map(image).unsqueeze(0), {height, width});
  const auto index = at::nan_to_num(enlarged, -INFINITY).argmax().item<int64_t>();
  return {index % width, index / width};
}

SIGHTGLASS_INLINE Status Explanation::status(int64_t image) const {
  const at::Tensor one = map(image);
  const bool has_gradient = gradient_size_.defined();
  const double gradient = has_gradient ? gradient_size_[image].item<double>() : 1.0;
  if (!std::isfinite(gradient) || !one.isfinite().all().item<bool>()) return Status::not_finite;
  if (gradient == 0.0) return Status::zero_gradient;
  return one.max().item<double>() > 0.0 ? Status::ok : Status::no_positive_evidence;
}

SIGHTGLASS_INLINE int64_t Explanation::checked(int64_t image) const {
  TORCH_CHECK(image >= 0 && image < map_.size(0), "image: got ", image, ", the batch has ", map_.size(0));
  return image;
}

}  // namespace sightglass
