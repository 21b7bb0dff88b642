#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/cam/cut.hpp"
#include "sightglass/model/detail/runner.hpp"
#include "sightglass/cam/detail/weigh.hpp"
#include "sightglass/trace/observers/attention.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

namespace detail {

/// Keeps what a transformer's block gives, with its history, and how many attention maps had run by then.
class BlockEnd final : public Subscriber {
 public:
  BlockEnd(std::string name, const AttentionGradients& attention);

  bool wants_inputs() const override { return false; }
  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;
  void miss(const std::string& why) override { missed_ = why; }

  void check() const;
  const at::Tensor& output() const { return output_; }
  size_t maps() const;

 private:
  std::string name_;
  const AttentionGradients& attention_;
  at::Tensor output_;
  size_t maps_ = 0;
  std::optional<std::string> missed_;  ///< why a call could not be followed
};

/// Counts the attention maps that had run when a layer ended.
class MapsByEnd final : public Subscriber {
 public:
  explicit MapsByEnd(const AttentionGradients& attention) : attention_(attention) {}

  bool wants_inputs() const override { return false; }
  SIGHTGLASS_INLINE void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override;
  void miss(const std::string& /*why*/) override {}

  /// 0 where it has not ended.
  size_t maps() const { return maps_; }

 private:
  const AttentionGradients& attention_;
  size_t maps_ = 0;
};

/// Lists of layers, alike, that give tokens of one shape, in the order in which they ended.
std::vector<std::vector<Layer>> lists_of_tokens(const Model& model, const at::Tensor& input);

/// Sums what attention maps say of a layer's patches.
class AttentionSum {
 public:
  /// `activations` `[N, C, *S]` of the layer that gives the grid.
  explicit AttentionSum(const at::Tensor& activations);

  /// Adds a map that is over the patches and a few tokens more, and that the score depends on.
  void add(const AttentionMap& map);

  /// `[N, *S]`.
  at::Tensor mean(const std::string& layer, size_t seen) const;

 private:
  int64_t images_, patches_, count_ = 0;
  at::Tensor sum_;
};

}  // namespace detail

/// The blocks of a vision transformer, in order, for `LeGrad::blocks`: layers of one list, alike, that give tokens
/// `[N, T, C]` of one shape, each with one self-attention map in it, and no map besides. Empty where there are none.
/// `input` `[N, C, *S]`.
std::vector<Layer> attention_blocks(const Model& model, const at::Tensor& input);

/// LeGrad, for vision transformers: `map[n, s] = mean_l mean_h mean_q relu(gradient of score_l at the attention map of
/// block l)[n, h, q, s]`, h heads, q the tokens that look, s the patches that are looked at.
///
/// The layer gives the grid of patches, and nothing else: `"patch"`, the convolution that makes them, or a block's
/// tokens by `Reshaped<LeGrad>{{}, Reshape::tokens(14, 14)}`. Tokens before the patches (class, registers) are left
/// out. Maps are found as softmax of `[..., T, T]` and in LibTorch's fused attention.
///
/// With `blocks` (`attention_blocks` finds them), `score_l` is the paper's, the score of what block l gives, as read by
/// what lies behind the last block; a forward and a backward pass a block. Without, it is the model's score for all
/// blocks: one pass. Bousselham et al. 2024, "LeGrad: An Explainability Method for Vision Transformers via Feature
/// Formation Sensitivity".
struct LeGrad {
  std::vector<Layer> blocks = {};  ///< in order, the last one last; or none

  /// The maps, `[N, *S]`.
  at::Tensor operator()(const Cut& cut) const;

 private:
  at::Tensor by_score(const Cut& cut) const;

  at::Tensor by_blocks(const Cut& cut) const;

  /// A forward pass on which attention and blocks are watched.
  std::vector<std::shared_ptr<detail::BlockEnd>> run(const Model& model, const at::Tensor& x,
                                                     detail::AttentionGradients& attention) const;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/methods/legrad_inl.hpp"
#endif
