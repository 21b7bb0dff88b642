#pragma once

#include <torch/types.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <sightglass/opencv/preprocessing.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "support/drawing.hpp"

// Drawn scenes as networks take them.
namespace support {

constexpr int scene_side = 224;  // of a picture, what `explain` resizes to by default

/// Pictures of one object each, the classes in turn.
inline std::vector<drawing::Scene> draw_scenes(cv::RNG& random, int side, int count) {
  const int classes = static_cast<int>(drawing::class_names().size());
  std::vector<drawing::Scene> scenes;
  scenes.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) scenes.push_back(drawing::draw(random, side, i % classes));
  return scenes;
}

/// Pictures of two to four objects each.
inline std::vector<drawing::Scene> draw_scenes_of_several(cv::RNG& random, int count) {
  std::vector<drawing::Scene> scenes;
  scenes.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) scenes.push_back(drawing::draw_several(random, scene_side));
  return scenes;
}

/// `[N, 3, S, S]`, as a network takes them.
inline torch::Tensor input_of(const std::vector<drawing::Scene>& scenes,
                              const sightglass::Preprocessing& preprocessing) {
  std::vector<torch::Tensor> inputs;
  inputs.reserve(scenes.size());
  for (const drawing::Scene& scene : scenes) inputs.push_back(sightglass::to_tensor(scene.picture, preprocessing));
  return torch::cat(inputs);
}

/// Pictures to train on, kept in 8 bits.
class Pixels {
 public:
  explicit Pixels(const std::vector<drawing::Scene>& scenes) {
    const int64_t side = scenes.front().picture.rows;
    pixels_ = torch::empty({static_cast<int64_t>(scenes.size()), 3, side, side}, torch::kByte);
    const sightglass::Preprocessing as_it_is = sightglass::Preprocessing();
    for (size_t i = 0; i < scenes.size(); ++i)
      pixels_[static_cast<int64_t>(i)] =
          sightglass::to_tensor(scenes[i].picture, as_it_is).squeeze(0).mul(255).round().to(torch::kByte);
  }

  int64_t count() const { return pixels_.size(0); }
  int64_t side() const { return pixels_.size(3); }

  /// The chosen pictures as `sg::to_tensor` would give them.
  torch::Tensor inputs(const torch::Tensor& chosen, const sightglass::Preprocessing& preprocessing) const {
    const torch::Tensor mean = torch::tensor(preprocessing.mean(), torch::kFloat).view({1, 3, 1, 1});
    const torch::Tensor deviation = torch::tensor(preprocessing.std(), torch::kFloat).view({1, 3, 1, 1});
    return pixels_.index_select(0, chosen).to(torch::kFloat).div_(255).sub_(mean).div_(deviation);
  }

 private:
  torch::Tensor pixels_;  // [N, 3, S, S] RGB
};

/// One of the eight ways to turn and mirror pictures, none of which changes a class: `[..., S, S]`.
inline torch::Tensor mirrored(const torch::Tensor& batch, int way) {
  torch::Tensor result = batch;
  if ((way & 1) != 0) result = result.flip(-1);
  if ((way & 2) != 0) result = result.flip(-2);
  if ((way & 4) != 0) result = result.transpose(-2, -1);
  return result.contiguous();
}

/// The same for boxes in pictures of `side` pixels: `[..., 4]`, each centre x, y, width, height.
inline torch::Tensor mirrored_boxes(const torch::Tensor& boxes, int way, int64_t side) {
  torch::Tensor x = boxes.select(-1, 0), y = boxes.select(-1, 1);
  if ((way & 1) != 0) x = side - x;
  if ((way & 2) != 0) y = side - y;
  const torch::Tensor width = boxes.select(-1, 2), height = boxes.select(-1, 3);
  return (way & 4) != 0 ? torch::stack({y, x, height, width}, -1) : torch::stack({x, y, width, height}, -1);
}

inline cv::Mat with_box(const cv::Mat& picture, const cv::Rect& box) {
  cv::Mat framed = picture.clone();
  cv::rectangle(framed, box, cv::Scalar(255, 255, 255), 1);
  return framed;
}

}  // namespace support
