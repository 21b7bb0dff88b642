#pragma once

#include "sightglass/cam/eigen_smooth.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor first_component(const at::Tensor& weighted) {
  const at::Tensor projected = eigen_cam(weighted, Centring::channel_means).flatten(1);
  const at::Tensor sum = weighted.sum(1).flatten(1);
  const at::Tensor along = ((sum - sum.mean(1, true)) * projected).sum(1, true);
  const at::Tensor turned = at::where(along.lt(0), -projected, projected);
  return turned.relu().view(map_shape(weighted));
}

}  // namespace sightglass::detail
