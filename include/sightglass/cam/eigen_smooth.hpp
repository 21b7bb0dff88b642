#pragma once

#include <ATen/ATen.h>

#include <type_traits>
#include <utility>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/methods/eigen_cam.hpp"
#include "sightglass/cam/methods/grad_cam.hpp"
#include "sightglass/cam/detail/weigh.hpp"

namespace sightglass {

namespace detail {

template <class Method, class = void>
inline constexpr bool has_weighted = false;
template <class Method>
inline constexpr bool
    has_weighted<Method, std::void_t<decltype(std::declval<const Method&>().weighted(std::declval<const Cut&>()))>> =
        true;

/// `relu` of the projection of `weighted` `[N, C, *S]`, each channel less its mean, on their first principal component,
/// its sign such that it goes along with the sum over channels: `[N, *S]`.
at::Tensor first_component(const at::Tensor& weighted);

}  // namespace detail

/// Eigen smoothing: instead of the sum over channels of a method's weighted activations `w_k A_k`, their first
/// principal component, which leaves out what single channels add by themselves: `EigenSmoothed<LayerCam>{}`.
///
/// As pytorch-grad-cam's `eigen_smooth`, which leaves the sign to chance; here it is that of the method's own map. Of
/// `HiResCam` it is EigenGrad-CAM. A method says what its channels bring by `weighted(cut)` `[N, C, *S]`; for one that
/// does not, whose map must be of the layer's size, it is the activations where the map is positive, times the map: our
/// definition, not theirs.
template <class Method = GradCam>
struct EigenSmoothed {
  /// Whose weighted activations are looked at.
  Method method = {};
  /// That of the method.
  static constexpr Tail tail = detail::tail_for<Method>;

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const {
    if constexpr (detail::has_weighted<Method>) {
      return detail::first_component(method.weighted(cut));
    } else {
      const at::Tensor a = cut.activations();
      const at::Tensor map = method(cut);
      TORCH_CHECK(map.sizes() == at::IntArrayRef(detail::map_shape(a)), "EigenSmoothed: the method's map ", map.sizes(),
                  " is not of the layer's size, whose activations are ", a.sizes());
      return detail::first_component(a * map.relu().unsqueeze(1));
    }
  }
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/eigen_smooth_inl.hpp"
#endif
