#pragma once

#include <ATen/ATen.h>

#include <cstdint>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/weigh.hpp"
#include "sightglass/trace/attention.hpp"

namespace sightglass {

/// LeGrad, for vision transformers: `map[n, s] = mean_l mean_h mean_q relu(gradient of the score at the attention map
/// of block l)[n, h, q, s]`, h heads, q the tokens that look, s the patches that are looked at.
///
/// The layer gives the grid of patches, and nothing else: `"patch"`, the convolution that makes them, or a block's
/// tokens by `Reshaped<LeGrad>{{}, Reshape::tokens(14, 14)}`. Tokens before the patches (class, registers) are left
/// out. One forward and one backward pass. Maps are found as softmax of `[..., T, T]` and in LibTorch's fused
/// attention. Bousselham et al. 2024, "LeGrad: An Explainability Method for Vision Transformers via Feature Formation
/// Sensitivity". They score each block by its own tokens, which the classifier must be able to read; here it is the
/// model's own score for all blocks, which any head has.
struct LeGrad {
  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor a = cut.activations(), x = cut.input();
    TORCH_CHECK(a.dim() >= 4, "LeGrad: layer \"", cut.layer_name(), "\" gives ", a.sizes(), ", no grid of patches ",
                "[N, C, h, w]; choose the convolution that makes the patches, or see the tokens as a grid: "
                "Reshaped<LeGrad>{{}, Reshape::tokens(h, w)}");
    detail::AttentionGradients attention;
    {
      const detail::ListenerScope listening(attention);
      (void)cut.input_gradients(x, at::arange(x.size(0), at::kLong));
    }
    at::Tensor sum = at::zeros(detail::map_shape(a), a.options());
    int64_t blocks = 0;
    for (const auto& map : attention.maps()) {
      if (!is_of_patches(*map, a)) continue;
      sum += looked_at(map->gradient, a);
      ++blocks;
    }
    TORCH_CHECK(blocks > 0, "LeGrad: the model has no attention map over the ", a[0][0].numel(), " patches of layer \"",
                cut.layer_name(), "\" (", attention.maps().size(),
                " of other sizes); it sees softmax over [..., T, T] ",
                "and scaled_dot_product_attention: write the attention so, or use another method");
    return sum / static_cast<double>(blocks);
  }

 private:
  /// True where the map is over the layer's patches and a few tokens more, and the score depends on it.
  static bool is_of_patches(const detail::AttentionMap& map, const at::Tensor& a) {
    const int64_t patches = a[0][0].numel(), tokens = map.sizes.back();
    return map.gradient.defined() && tokens >= patches && tokens < 2 * patches && map.sizes[0] % a.size(0) == 0;
  }

  /// `[N, *S]` from `[N, heads, T, T]` or `[N * heads, T, T]`.
  static at::Tensor looked_at(const at::Tensor& gradient, const at::Tensor& a) {
    const int64_t tokens = gradient.size(-1);
    const at::Tensor heads = gradient.to(a.dtype()).relu().reshape({a.size(0), -1, tokens, tokens});
    return heads.mean(at::IntArrayRef{1, 2}).slice(1, tokens - a[0][0].numel()).reshape(detail::map_shape(a));
  }
};

}  // namespace sightglass
