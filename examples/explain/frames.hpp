#pragma once

#include <sightglass/sightglass.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "calls.hpp"
#include "support/inputs.hpp"

namespace support {

/// Whether a model gives maps of videos as it is, without looking at frames as pictures.
inline bool gives_maps(const sightglass::Model& model, const torch::Tensor& video) {
  try {
    (void)sightglass::suggest(model, video);
    return true;
  } catch (const c10::Error&) {
    return false;
  }
}

/// In which dimension of a video `[1, T, C, H, W]` or `[1, C, T, H, W]` the frames are that the model folds into its
/// batch at these layers, or, where there are none, at any; none where it does not.
inline std::optional<int64_t> folded_frames(const sightglass::Model& model, const std::vector<sightglass::Layer>& named,
                                            const torch::Tensor& video) {
  if (video.dim() != 5 || video.size(0) != 1 || (named.empty() && gives_maps(model, video))) return std::nullopt;
  for (const int64_t dimension : {1, 2}) {
    if (video.size(3 - dimension) > 4) continue;  // channels of pictures
    for (const sightglass::LayerInfo& layer : sightglass::layers(model, video)) {
      const auto is_it = [&](const sightglass::Layer& other) { return other.name() == layer.name; };
      const bool meant = named.empty() || std::any_of(named.begin(), named.end(), is_it);
      const bool of_frames = layer.shape.size() <= 4 && layer.is_spatial() && layer.shape[0] == video.size(dimension);
      if (meant && of_frames) return dimension;
    }
  }
  return std::nullopt;
}

/// A model of videos as a function of frames: it gives the video's scores once a frame, and what is explained of them
/// is that of the video.
class Frames {
 public:
  /// @param video one, as the model takes it
  /// @param dimension of the frames in it
  Frames(const ModelInputs& inputs, const std::string& output, const torch::Tensor& video, int64_t dimension)
      : frames_(video[0].transpose(0, dimension - 1)), model_(inputs.function()) {
    const sightglass::Model whole = output.empty() ? model_ : model_.output(output);
    const auto forward = [whole, dimension, closed = closed_](const torch::Tensor& frames) {
      TORCH_CHECK(!*closed,
                  "it runs the model on other frames, and the model's scores are of a whole video; where frames are "
                  "folded into the batch, take grad-cam, layer-cam, hires-cam, eigen-cam or others that run it once");
      const torch::Tensor scores = whole.forward(frames.transpose(0, dimension - 1).unsqueeze(0));
      TORCH_CHECK(scores.dim() >= 1 && scores.size(0) == 1, "the model gives ", scores.sizes(),
                  " for one video, expected [1, classes]");
      // The gradients of all rows come together: each has its share.
      const torch::Tensor share = scores / frames.size(0);
      std::vector<int64_t> sizes = scores.sizes().vec();
      sizes[0] = frames.size(0);
      return (share + (scores - share).detach()).expand(sizes);
    };
    model_ = inputs.with(forward);
  }

  /// `[T, C, H, W]`.
  const torch::Tensor& frames() const { return frames_; }
  const sightglass::Model& model() const { return model_; }

  /// Throws `c10::Error` where row t of what a layer gives is not of frame t: found by changing frames.
  void check_rows(const std::vector<sightglass::Layer>& layers) const {
    const int64_t count = frames_.size(0);
    const torch::Tensor numbers = torch::arange(count);
    const auto before = last_outputs(layers, frames_);
    for (int64_t bit = 1; bit < count; bit *= 2) {
      const torch::Tensor changed = numbers.bitwise_and(bit).ne(0);
      const auto now = last_outputs(layers, frames_ + changed.to(frames_.options()).view({-1, 1, 1, 1}));
      for (size_t i = 0; i < layers.size(); ++i) {
        const bool rows = before[i].defined() && before[i].size(0) == count && now[i].sizes() == before[i].sizes();
        TORCH_CHECK(
            rows && !changed.logical_and(now[i].ne(before[i]).flatten(1).any(1).logical_not()).any().item<bool>(),
            "layer \"", layers[i].name(), "\": its rows are not the video's ", count,
            " frames in their order; name a layer of which they are by --layer");
      }
    }
  }

  /// From now on the model is not run again.
  void close() { *closed_ = true; }

  /// Maps of frames as one of the video, `[1, T, h, w]`.
  static sightglass::Explanation as_one(const sightglass::Explanation& each) {
    std::vector<int64_t> size = each.input_size();
    size.insert(size.begin(), each.map().size(0));
    double gradient = 0;  // of which the status looks at whether it is finite, and 0
    for (int64_t i = 0; i < each.map().size(0); ++i) {
      const sightglass::Status status = each.status(i);
      if (status == sightglass::Status::zero_gradient) continue;
      gradient += status == sightglass::Status::not_finite ? NAN : 1;
    }
    return {each.map().unsqueeze(0), each.scores().slice(0, 0, 1), each.targets().slice(0, 0, 1), size,
            torch::tensor({gradient})};
  }

  /// What the maps are drawn over: `[1, C, T, H, W]`.
  Input shown(const Input& given) const { return {given.path, frames_.transpose(0, 1).unsqueeze(0), {}, {}}; }

 private:
  std::vector<torch::Tensor> last_outputs(const std::vector<sightglass::Layer>& layers,
                                          const torch::Tensor& frames) const {
    std::vector<torch::Tensor> outputs;
    for (const auto& calls : detail::calls_of(model_, layers, frames))
      outputs.push_back(calls.empty() || calls.back().outputs.empty() ? torch::Tensor() : calls.back().outputs.front());
    return outputs;
  }

  torch::Tensor frames_;
  sightglass::Model model_;
  std::shared_ptr<bool> closed_ = std::make_shared<bool>(false);
};

}  // namespace support
