#pragma once

#include <torch/nn/functional/loss.h>
#include <sightglass/opencv.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include "object_maps.hpp"
#include "options.hpp"
#include "report.hpp"
#include "scenes.hpp"
#include "segmenter_net.hpp"
#include "training.hpp"
#include "support/outline.hpp"

// `shapes --segment`.
namespace support {

/// The classes of a segmenter: 0 is no object, then those of the objects.
inline std::vector<std::string> segmenter_classes() {
  std::vector<std::string> names{"background"};
  names.insert(names.end(), drawing::class_names().begin(), drawing::class_names().end());
  return names;
}

/// `[H, W]` int64: the class of each pixel.
inline torch::Tensor classes_of_pixels(const drawing::Scene& scene) {
  cv::Mat classes = cv::Mat::zeros(scene.picture.size(), CV_8UC1);
  for (const drawing::Object& object : scene.objects) classes.setTo(1 + object.label, object.mask);
  return torch::from_blob(classes.data, {classes.rows, classes.cols}, torch::kByte).to(torch::kLong);
}

/// Pictures, and the class of each place of the scores that a segmenter gives.
class SegmentedPictures {
 public:
  explicit SegmentedPictures(const std::vector<drawing::Scene>& scenes) : pixels_(scenes) {
    std::vector<torch::Tensor> all;
    for (const drawing::Scene& scene : scenes) {
      const torch::Tensor classes = classes_of_pixels(scene);
      all.push_back(classes.slice(0, segmenter_stride / 2, {}, segmenter_stride)
                        .slice(1, segmenter_stride / 2, {}, segmenter_stride)
                        .to(torch::kByte));
    }
    classes_ = torch::stack(all);
  }

  Stage stage(SegmenterNet& net, int epochs) const {
    return {pixels_.count(), pixels_.side(), epochs, [&](const torch::Tensor& chosen, int way) -> BatchResult {
              static const sightglass::Preprocessing preprocessing = sightglass::imagenet(scene_side);
              const torch::Tensor classes = mirrored(classes_.index_select(0, chosen), way).to(torch::kLong);
              const torch::Tensor scores = net->coarse(mirrored(pixels_.inputs(chosen, preprocessing), way));
              return {torch::nn::functional::cross_entropy(scores, classes),
                      scores.argmax(1).eq(classes).sum().item<double>(), static_cast<double>(classes.numel())};
            }};
  }

 private:
  Pixels pixels_;
  torch::Tensor classes_;  // [N, S / 4, S / 4]
};

inline SegmenterNet trained_segmenter(const ShapesOptions& options) {
  const Clock clock;
  cv::RNG random(options.seed);
  const SegmentedPictures pictures(draw_scenes_of_several(random, options.pictures));
  say_drawn(options.pictures, clock);
  SegmenterNet net(static_cast<int64_t>(segmenter_classes().size()));
  Training(net.ptr(), "pixel accuracy", random).run({pictures.stage(net, options.epochs_or(28))});
  say_trained(clock);
  return net;
}

/// What a segmenter sees in scenes, how right that is, and its maps.
class ExplainedSegmenter {
 public:
  explicit ExplainedSegmenter(const SegmenterNet& net)
      : net_(net),
        model_(net),
        shared_(torch::zeros({net->classifier->options.out_channels()})),
        either_(shared_.clone()) {}

  static torch::Tensor input(const std::vector<drawing::Scene>& scenes) {
    return input_of(scenes, sightglass::imagenet(scene_side));
  }

  /// The outlines of what it sees, and the maps of what is there, at the layer that `explain` takes.
  SceneMaps maps(const drawing::Scene& scene) {
    const sightglass::Pass pass(model_, input({scene}), {net_->encoder3});
    const torch::Tensor seen = pass.output()[0].argmax(0), classes = classes_of_pixels(scene);
    SceneMaps found{scene.picture.clone(), {}};
    for (int64_t index = 0; index < shared_.size(0); ++index) {
      const torch::Tensor region = seen.eq(index), truth = classes.eq(index);
      shared_[index] += (region & truth).sum();
      either_[index] += (region | truth).sum();
      if (index == 0) continue;
      const torch::Tensor bytes = region.to(torch::kByte).mul(255).contiguous();
      draw_outline(found.drawn, cv::Mat(found.drawn.rows, found.drawn.cols, CV_8UC1, bytes.data_ptr()));
    }
    for (size_t i = 0; i < scene.objects.size(); ++i) {
      const int64_t index = 1 + scene.objects[i].label;
      const torch::Tensor region = seen.eq(index), truth = classes.eq(index);
      const double overlap = (region & truth).sum().item<double>() / (region | truth).sum().item<double>();
      found_.add(overlap >= 0.5);
      if (overlap < 0.5) continue;
      found.maps.emplace_back(i, name_of(scene.objects[i]), pass, sightglass::Target::segmentation(index, region));
    }
    return found;
  }

  /// Of all scenes so far.
  std::string quality() const {
    const std::string mean = percent((shared_ / either_).nanmean().item<double>());
    return "mean IoU " + mean + ", " + percent(found_.share()) + " of " + std::to_string(found_.total) +
           " objects found (IoU 0.5)";
  }

 private:
  SegmenterNet net_;
  sightglass::Model model_;
  torch::Tensor shared_, either_;  // pixels of each class, seen and true: both, and one at least
  Count found_;
};

/// Trains a segmenter, evaluates its maps and writes all there is.
inline void run_segmenter(const ShapesOptions& options, cv::RNG& held_out) {
  const SegmenterNet net = trained_segmenter(options);
  ExplainedSegmenter explained(net);
  evaluate_and_write(options.out, net, explained, {segmenter_classes(), "", "layer-cam"}, held_out);
}

}  // namespace support
