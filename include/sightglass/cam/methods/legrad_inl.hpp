#pragma once

#include "sightglass/cam/methods/legrad.hpp"

#include <map>
#include <tuple>

#include "sightglass/inline.hpp"
#include "sightglass/model/layers.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE BlockEnd::BlockEnd(std::string name, const AttentionGradients& attention)
    : name_(std::move(name)), attention_(attention) {}

SIGHTGLASS_INLINE void BlockEnd::leave(const std::vector<at::Tensor>& /*inputs*/, std::vector<at::Tensor>& outputs) {
  if (outputs.empty() || !outputs.front().defined()) return;
  output_ = outputs.front().clone();  // the next block may write it in place
  maps_ = attention_.maps().size();
}

SIGHTGLASS_INLINE void BlockEnd::check() const {
  TORCH_CHECK(output_.defined(), "LeGrad: block \"", name_, "\" ",
              missed_ ? "could not be followed: " + *missed_ : "did not run");
}

SIGHTGLASS_INLINE size_t BlockEnd::maps() const { return maps_; }

SIGHTGLASS_INLINE void MapsByEnd::leave(const std::vector<at::Tensor>& /*inputs*/,
                                        std::vector<at::Tensor>& /*outputs*/) {
  maps_ = attention_.maps().size();
}

SIGHTGLASS_INLINE std::vector<std::vector<Layer>> lists_of_tokens(const Model& model, const at::Tensor& input) {
  using Kind = std::tuple<std::string, std::string, std::vector<int64_t>>;  // of what list, type and shape
  std::map<Kind, std::vector<Layer>> lists;
  for (const LayerInfo& info : layers(model, input)) {
    const size_t dot = info.name.rfind('.');
    if (info.shape.size() != 3 || info.calls != 1) continue;
    const std::string list = dot == std::string::npos ? "" : info.name.substr(0, dot);
    lists[{list, info.type, info.shape}].push_back(model.layer(info.name));
  }
  std::vector<std::vector<Layer>> all;
  for (auto& item : lists) all.push_back(std::move(item.second));
  return all;
}

SIGHTGLASS_INLINE AttentionSum::AttentionSum(const at::Tensor& activations)
    : images_(activations.size(0)),
      patches_(activations[0][0].numel()),
      sum_(at::zeros(map_shape(activations), activations.options())) {}

SIGHTGLASS_INLINE void AttentionSum::add(const AttentionMap& map) {
  // [N, heads, T, T], or [N * heads, T, T]; where windows are folded into the batch, places are not those of patches.
  const int64_t tokens = map.sizes.back();
  const bool whole =
      map.sizes.size() == 3 ? map.sizes.front() % images_ == 0 : map.sizes.size() == 4 && map.sizes.front() == images_;
  const bool of_patches = whole && tokens >= patches_ && tokens < 2 * patches_;
  if (!of_patches || !map.gradient.defined()) return;
  const at::Tensor heads = map.gradient.to(sum_.dtype()).relu().reshape({images_, -1, tokens, tokens});
  sum_ += heads.mean(at::IntArrayRef{1, 2}).slice(1, tokens - patches_).reshape(sum_.sizes());
  ++count_;
}

SIGHTGLASS_INLINE at::Tensor AttentionSum::mean(const std::string& layer, size_t seen) const {
  TORCH_CHECK(count_ > 0, "LeGrad: the model has no attention map over the ", patches_, " patches of layer \"", layer,
              "\" (", seen,
              " of other sizes, or of windows); it sees softmax over [..., T, T] and scaled_dot_product_attention: ",
              "write the attention so, or use another method");
  return sum_ / static_cast<double>(count_);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE std::vector<Layer> attention_blocks(const Model& model, const at::Tensor& input) {
  const detail::WithGraph with_graph;
  const at::Tensor x = input.detach().clone().requires_grad_();  // whole: a trace may know no other batch
  const std::vector<std::vector<Layer>> lists = detail::lists_of_tokens(model, x.detach());
  detail::AttentionGradients attention;
  std::vector<std::vector<std::shared_ptr<detail::MapsByEnd>>> ends;
  std::vector<detail::Watch> watches;
  for (const std::vector<Layer>& list : lists) {
    ends.emplace_back();
    for (const Layer& layer : list) {
      ends.back().push_back(std::make_shared<detail::MapsByEnd>(attention));
      if (layer.place().problem.empty()) watches.push_back(model.watch(ends.back().back(), layer));
    }
  }
  attention.pass_on_to(detail::listener());
  {
    const detail::Observed listening(attention);
    model.forward(x);
  }
  attention.pass_on_to(nullptr);
  for (size_t i = 0; i < lists.size(); ++i) {
    bool one_each = ends[i].size() == attention.maps().size();
    for (size_t l = 0; one_each && l < ends[i].size(); ++l) one_each = ends[i][l]->maps() == l + 1;
    if (one_each) return lists[i];
  }
  return {};
}

SIGHTGLASS_INLINE at::Tensor LeGrad::operator()(const Cut& cut) const {
  const at::Tensor a = cut.activations();
  TORCH_CHECK(a.dim() >= 4, "LeGrad: layer \"", cut.layer_name(), "\" gives ", a.sizes(), ", no grid of patches ",
              "[N, C, h, w]; choose the convolution that makes the patches, or see the tokens as a grid: "
              "Reshaped<LeGrad>{{}, Reshape::tokens(h, w)}");
  return blocks.empty() ? by_score(cut) : by_blocks(cut);
}

SIGHTGLASS_INLINE at::Tensor LeGrad::by_score(const Cut& cut) const {
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

SIGHTGLASS_INLINE at::Tensor LeGrad::by_blocks(const Cut& cut) const {
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

SIGHTGLASS_INLINE std::vector<std::shared_ptr<detail::BlockEnd>> LeGrad::run(
    const Model& model, const at::Tensor& x, detail::AttentionGradients& attention) const {
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

}  // namespace sightglass
