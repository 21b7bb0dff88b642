#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

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
  BlockEnd(std::string name, const AttentionGradients& attention) : name_(std::move(name)), attention_(attention) {}

  bool wants_inputs() const override { return false; }
  void leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) override {
    if (outputs.empty() || !outputs.front().defined()) return;
    output_ = outputs.front().clone();  // the next block may write it in place
    maps_ = attention_.maps().size();
  }
  void miss(const std::string& why) override { missed_ = why; }

  void check() const {
    TORCH_CHECK(output_.defined(), "LeGrad: block \"", name_, "\" ",
                missed_.empty() ? std::string("did not run") : "could not be followed: " + missed_);
  }
  const at::Tensor& output() const { return output_; }
  size_t maps() const { return maps_; }

 private:
  std::string name_;
  const AttentionGradients& attention_;
  at::Tensor output_;
  size_t maps_ = 0;
  std::string missed_;
};

/// Sums what attention maps say of a layer's patches.
class AttentionSum {
 public:
  /// `activations` `[N, C, *S]` of the layer that gives the grid.
  explicit AttentionSum(const at::Tensor& activations)
      : images_(activations.size(0)),
        patches_(activations[0][0].numel()),
        sum_(at::zeros(map_shape(activations), activations.options())) {}

  /// Adds a map that is over the patches and a few tokens more, and that the score depends on.
  void add(const AttentionMap& map) {
    const int64_t tokens = map.sizes.back();
    const bool of_patches = tokens >= patches_ && tokens < 2 * patches_ && map.sizes.front() % images_ == 0;
    if (!of_patches || !map.gradient.defined()) return;
    // [N, heads, T, T], or [N * heads, T, T].
    const at::Tensor heads = map.gradient.to(sum_.dtype()).relu().reshape({images_, -1, tokens, tokens});
    sum_ += heads.mean(at::IntArrayRef{1, 2}).slice(1, tokens - patches_).reshape(sum_.sizes());
    ++count_;
  }

  /// `[N, *S]`.
  at::Tensor mean(const std::string& layer, size_t seen) const {
    TORCH_CHECK(count_ > 0, "LeGrad: the model has no attention map over the ", patches_, " patches of layer \"", layer,
                "\" (", seen, " of other sizes); it sees softmax over [..., T, T] and scaled_dot_product_attention: ",
                "write the attention so, or use another method");
    return sum_ / static_cast<double>(count_);
  }

 private:
  int64_t images_, patches_, count_ = 0;
  at::Tensor sum_;
};

}  // namespace detail

/// LeGrad, for vision transformers: `map[n, s] = mean_l mean_h mean_q relu(gradient of score_l at the attention map of
/// block l)[n, h, q, s]`, h heads, q the tokens that look, s the patches that are looked at.
///
/// The layer gives the grid of patches, and nothing else: `"patch"`, the convolution that makes them, or a block's
/// tokens by `Reshaped<LeGrad>{{}, Reshape::tokens(14, 14)}`. Tokens before the patches (class, registers) are left
/// out. Maps are found as softmax of `[..., T, T]` and in LibTorch's fused attention.
///
/// With `blocks`, `score_l` is the paper's, the score of what block l gives, as read by what lies behind the last
/// block; a forward and a backward pass a block. Without, it is the model's score for all blocks: one pass. Bousselham
/// et al. 2024, "LeGrad: An Explainability Method for Vision Transformers via Feature Formation Sensitivity".
struct LeGrad {
  std::vector<Layer> blocks = {};  ///< in order, the last one last; or none

  at::Tensor operator()(const Cut& cut) const {
    const at::Tensor a = cut.activations();
    TORCH_CHECK(a.dim() >= 4, "LeGrad: layer \"", cut.layer_name(), "\" gives ", a.sizes(), ", no grid of patches ",
                "[N, C, h, w]; choose the convolution that makes the patches, or see the tokens as a grid: "
                "Reshaped<LeGrad>{{}, Reshape::tokens(h, w)}");
    return blocks.empty() ? by_score(cut) : by_blocks(cut);
  }

 private:
  at::Tensor by_score(const Cut& cut) const {
    const at::Tensor x = cut.input();
    detail::AttentionGradients attention;
    attention.pass_on_to(detail::listener());
    {
      const detail::Observed listening(attention);
      (void)cut.input_gradients(x, at::arange(x.size(0), at::kLong));
    }
    detail::AttentionSum sum(cut.activations());
    for (const auto& map : attention.maps()) sum.add(*map);
    return sum.mean(cut.layer_name(), attention.maps().size());
  }

  at::Tensor by_blocks(const Cut& cut) const {
    const detail::WithGraph with_graph;
    const at::Tensor x = cut.input().detach().clone().requires_grad_();
    const Target target = cut.target().of(cut.output(), at::arange(x.size(0), at::kLong));
    detail::AttentionGradients attention;
    const std::vector<std::shared_ptr<detail::BlockEnd>> ends = run(cut.model(), x, attention);
    detail::AttentionSum sum(cut.activations());
    const Layer last = cut.model().layer(blocks.back());
    size_t first = 0;
    for (const auto& end : ends) {
      const at::Tensor read = detail::forward_with(cut.model(), x.detach(), last, end->output());
      const at::Tensor score = target.scores(read).sum();
      (void)torch::autograd::grad({score}, {x}, {}, /*retain_graph=*/true);
      for (; first < end->maps(); ++first) sum.add(*attention.maps()[first]);
    }
    return sum.mean(cut.layer_name(), attention.maps().size());
  }

  /// A forward pass on which attention and blocks are watched.
  std::vector<std::shared_ptr<detail::BlockEnd>> run(const Model& model, const at::Tensor& x,
                                                     detail::AttentionGradients& attention) const {
    std::vector<std::shared_ptr<detail::BlockEnd>> ends;
    std::vector<detail::Watch> watches;
    for (const Layer& block : blocks) {
      const Layer layer = model.layer(block);
      ends.push_back(std::make_shared<detail::BlockEnd>(layer.name(), attention));
      watches.push_back(model.watch(ends.back(), layer));
    }
    attention.pass_on_to(detail::listener());
    {
      const detail::Observed listening(attention);
      model.forward(x);
    }
    attention.pass_on_to(nullptr);
    for (const auto& end : ends) end->check();
    return ends;
  }
};

}  // namespace sightglass
