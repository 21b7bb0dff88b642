#pragma once

#include <sightglass/sightglass.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "support/figures.hpp"
#include "support/labels.hpp"
#include "support/model_end.hpp"

namespace support {

/// Whether an output of an input is a score for each class and place, `[N, classes, *S]`.
inline bool is_segmentation(const torch::Tensor& output, const torch::Tensor& input) {
  return output.dim() == input.dim() && output.dim() >= 4 && output.size(0) == input.size(0);
}

/// Which places of an output show the picture and no letterbox's bars: bool `[*S]`; undefined for all.
inline torch::Tensor shown_in(const Input& input, const torch::Tensor& output) {
  if (input.places.empty() || !input.places.front().has_bars()) return {};
  const Placement& place = input.places.front();
  torch::Tensor shown = torch::zeros({1, 1, place.input.height, place.input.width});
  detail::part_of(shown, place.in_input).fill_(1);
  return at::upsample_nearest2d(shown, {output.size(2), output.size(3)})[0][0].gt(0.5);
}

/// The prediction of a segmenter for one picture.
class Segmentation {
 public:
  /// @param output `[1, classes, *S]`; of one class, `end` tells whether it gives probabilities or logits. Where that
  /// is not known, numbers that all lie in 0 to 1 are taken for probabilities.
  /// @param shown bool `[*S]`, the places that count; undefined: all
  Segmentation(const torch::Tensor& output, ModelEnd end, const torch::Tensor& shown = {}) : classes_(output.size(1)) {
    const torch::Tensor scores = output[0].detach();
    if (classes_ > 1) {
      predicted_ = scores.argmax(0);
    } else {
      const bool in_range = ((scores >= 0) & (scores <= 1)).all().item<bool>();
      const bool probabilities = end == ModelEnd::sigmoid || (end == ModelEnd::unknown && in_range);
      predicted_ = (scores[0] > (probabilities ? 0.5 : 0.0)).to(torch::kLong) - 1;  // -1: not of the class
    }
    if (shown.defined()) predicted_.masked_fill_(~shown, -1);
    pixels_ = shown.defined() ? shown.sum().item<int64_t>() : predicted_.numel();
    for (int64_t index = 0; index < classes_; ++index) sizes_.push_back(predicted_.eq(index).sum().item<int64_t>());
  }

  int64_t classes() const { return classes_; }
  /// How many places count, and how many of them are predicted to be of a class.
  int64_t pixels() const { return pixels_; }
  int64_t pixels(int64_t index) const { return sizes_[static_cast<size_t>(index)]; }

  /// The class of most pixels; 0, the background of most models, only where there is no other.
  int64_t largest() const {
    const std::vector<int64_t> order = by_size();
    return order.front() == 0 && order.size() > 1 && pixels(order[1]) > 0 ? order[1] : order.front();
  }

  /// What is asked for class `index`.
  /// Throws `c10::Error` for a class that is predicted nowhere.
  Question question(int64_t index) const {
    TORCH_CHECK(pixels(index) > 0, "target ", index, ": no place is predicted to be of this class",
                classes_ > 1 ? "; most are of class " + std::to_string(largest()) : std::string());
    const torch::Tensor mask = predicted_.eq(index);
    return {sightglass::Target::segmentation(index, mask), index, mask};
  }

  /// The five largest classes, a line each.
  std::string overview(const Labels& labels) const {
    std::string lines;
    for (const int64_t index : by_size()) {
      if (pixels(index) == 0 && !lines.empty()) break;
      char share[64];
      std::snprintf(share, sizeof share, "  %5.1f %%  %lld pixels of ",
                    100.0 * static_cast<double>(pixels(index)) / static_cast<double>(pixels()),
                    static_cast<long long>(pixels(index)));
      lines += (lines.empty() ? "" : "\n") + std::string(share) + title_of(index, classes_, labels);
      if (std::count(lines.begin(), lines.end(), '\n') == 4) break;
    }
    return lines;
  }

 private:
  /// Largest first.
  std::vector<int64_t> by_size() const {
    std::vector<int64_t> order(sizes_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return pixels(a) > pixels(b); });
    return order;
  }

  int64_t classes_;
  torch::Tensor predicted_;  // int64 [*S]; -1: of no class, or does not count
  int64_t pixels_ = 0;
  std::vector<int64_t> sizes_;
};

/// Where a segmenter is explained unless told otherwise: at its bottleneck, the end of the encoder, since the layers
/// behind it come to be the class scores themselves. Of the layers of fewest places, no fewer than a stride of 36
/// leaves (those are pooled views of another layer), the last of most channels; a block rather than a layer in it.
inline std::string bottleneck(const sightglass::Model& model, const torch::Tensor& input, const torch::Tensor& output) {
  const auto places = [](at::IntArrayRef shape) {
    int64_t count = 1;
    for (size_t d = 2; d < shape.size(); ++d) count *= shape[d];
    return count;
  };
  const double all = static_cast<double>(places(input.sizes())), dims = static_cast<double>(input.dim() - 2);
  struct Best {
    std::string name;
    std::vector<int64_t> rank;  // the greatest is taken
  } best;
  for (const sightglass::LayerInfo& layer : sightglass::layers(model, input)) {
    const std::vector<int64_t>& shape = layer.maps.empty() ? layer.shape : layer.maps;
    if (!layer.is_spatial() || static_cast<int64_t>(shape.size()) != input.dim() || shape[0] != input.size(0)) continue;
    const bool scores = shape[1] == output.size(1);
    if (scores || std::pow(all / static_cast<double>(places(shape)), 1 / dims) > 36) continue;
    const std::vector<int64_t> rank{layer.is_leaf ? 0 : 1, -places(shape), shape[1]};
    if (best.name.empty() || rank >= best.rank) best = {layer.name, rank};
  }
  TORCH_CHECK(!best.name.empty(), "model: none of its layers gives maps of features for an input ", input.sizes(),
              "; name one by --layer");
  return best.name;
}

/// Where a model is explained unless told otherwise.
inline sightglass::Suggestion suggested(const sightglass::Model& model, const torch::Tensor& input, Task task) {
  if (task == Task::unknown || task == Task::segment) {
    const torch::Tensor output = model.forward(input);
    if (is_segmentation(output, input)) return {bottleneck(model, input, output), "the end of the encoder", ""};
  }
  return sightglass::suggest(model, input);
}

}  // namespace support
