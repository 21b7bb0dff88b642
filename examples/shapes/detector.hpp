#pragma once

#include <torch/nn/functional/activation.h>
#include <sightglass/opencv.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "detector_net.hpp"
#include "object_maps.hpp"
#include "options.hpp"
#include "report.hpp"
#include "scenes.hpp"
#include "training.hpp"

// `shapes --detect`.
namespace support {

/// Intersection over union of boxes `[..., 4]`, each centre x, y, width, height, and what is subtracted from it as
/// generalised IoU (Rezatofighi et al. 2019): the share of the box around both that neither covers.
struct Overlap {
  torch::Tensor iou, gap;

  Overlap(const torch::Tensor& a, const torch::Tensor& b) {
    const auto low = [](const torch::Tensor& box) { return box.slice(-1, 0, 2) - box.slice(-1, 2, 4) / 2; };
    const auto high = [](const torch::Tensor& box) { return box.slice(-1, 0, 2) + box.slice(-1, 2, 4) / 2; };
    const auto area = [](const torch::Tensor& size) { return size.select(-1, 0) * size.select(-1, 1); };
    const torch::Tensor shared = area((torch::minimum(high(a), high(b)) - torch::maximum(low(a), low(b))).clamp_min(0));
    const torch::Tensor around = area(torch::maximum(high(a), high(b)) - torch::minimum(low(a), low(b)));
    const torch::Tensor either = area(a.slice(-1, 2, 4)) + area(b.slice(-1, 2, 4)) - shared;
    iou = shared / either;
    gap = (around - either) / around;
  }
};

/// Pictures, and the boxes of what is in them.
class BoxedPictures {
 public:
  explicit BoxedPictures(const std::vector<drawing::Scene>& scenes) : pixels_(scenes) {
    const auto count = static_cast<int64_t>(scenes.size());
    boxes_ = torch::ones({count, most, 4});
    labels_ = torch::full({count, most}, -1, torch::kLong);
    for (int64_t i = 0; i < count; ++i) {
      const std::vector<drawing::Object>& objects = scenes[static_cast<size_t>(i)].objects;
      for (int64_t j = 0; j < static_cast<int64_t>(objects.size()); ++j) {
        const cv::Rect& box = objects[static_cast<size_t>(j)].box;
        boxes_[i][j] = torch::tensor({box.x + box.width / 2.0, box.y + box.height / 2.0, static_cast<double>(box.width),
                                      static_cast<double>(box.height)});
        labels_[i][j] = objects[static_cast<size_t>(j)].label;
      }
    }
  }

  Stage stage(DetectorNet& net, int epochs) const {
    return {pixels_.count(), pixels_.side(), epochs, [&](const torch::Tensor& chosen, int way) {
              const torch::Tensor inputs = pixels_.inputs(chosen, sightglass::Preprocessing());
              return result(net->raw(mirrored(inputs, way)),
                            mirrored_boxes(boxes_.index_select(0, chosen), way, pixels_.side()),
                            labels_.index_select(0, chosen));
            }};
  }

 private:
  static constexpr int64_t most = 4;  // objects of a picture

  /// The loss of CenterNet (Zhou et al. 2019, "Objects as Points"): a class's score is to be 1 at the place nearest to
  /// an object's centre, with less blame around it; and GIoU of the boxes given at the 3 x 3 places there.
  /// @param boxes `[N, most, 4]`
  /// @param labels `[N, most]`, -1 for no object
  static BatchResult result(const torch::Tensor& raw, const torch::Tensor& boxes, const torch::Tensor& labels) {
    const torch::Tensor exists = labels.ge(0).unsqueeze(2);                    // [N, most, 1]
    const torch::Tensor at = torch::arange(raw.size(3), torch::kFloat) + 0.5;  // pictures are square
    const auto distance = [&](int64_t axis) { return (boxes.select(2, axis) / detector_stride).unsqueeze(2) - at; };
    const torch::Tensor across = distance(0).unsqueeze(2), down = distance(1).unsqueeze(3);  // [N, most, H, W] together
    const torch::Tensor squared = (across.square() + down.square()).flatten(2);              // [N, most, places]
    const torch::Tensor centre = squared.eq(squared.amin(2, true)) & exists;
    const torch::Tensor around = torch::maximum(across.abs(), down.abs()).flatten(2).lt(1.5) & exists;

    const torch::Tensor logits = raw.slice(1, 4).flatten(2);  // [N, classes, places]
    const torch::Tensor of_class = torch::arange(logits.size(1)).view({1, 1, -1}).eq(labels.unsqueeze(2)).unsqueeze(3);
    const torch::Tensor nearness = torch::exp(-squared / 1.3).masked_fill(centre, 1).unsqueeze(2);
    const torch::Tensor wanted = (nearness * of_class).amax(1);  // [N, classes, places]
    const torch::Tensor probability = logits.sigmoid();
    using torch::nn::functional::logsigmoid;
    const torch::Tensor found = (1 - probability).square() * logsigmoid(logits);
    const torch::Tensor not_found = (1 - wanted).pow(4) * probability.square() * logsigmoid(-logits);
    const torch::Tensor class_loss = -torch::where(wanted.eq(1), found, not_found).sum() / exists.sum();

    const torch::Tensor given = DetectorNetImpl::decoded(raw).slice(1, 0, 4).transpose(1, 2).unsqueeze(1);
    const Overlap overlap(given, boxes.unsqueeze(2));  // [N, most, places]
    const torch::Tensor iou = overlap.iou.masked_select(around), gap = overlap.gap.masked_select(around);
    return {class_loss + (1 - iou + gap).mean(), iou.sum().item<double>(), static_cast<double>(iou.numel())};
  }

  Pixels pixels_;
  torch::Tensor boxes_, labels_;
};

inline DetectorNet trained_detector(const ShapesOptions& options) {
  const Clock clock;
  cv::RNG random(options.seed);
  const BoxedPictures pictures(draw_scenes_of_several(random, options.pictures));
  say_drawn(options.pictures, clock);
  DetectorNet net(static_cast<int64_t>(drawing::class_names().size()));
  Training(net.ptr(), "box overlap", random).run({pictures.stage(net, options.epochs_or(42))});
  say_trained(clock);
  return net;
}

/// What a detector finds in scenes, how much of it is there, and its maps.
class ExplainedDetector {
 public:
  explicit ExplainedDetector(const DetectorNet& net) : net_(net), model_(net) {}

  static torch::Tensor input(const std::vector<drawing::Scene>& scenes) {
    return input_of(scenes, sightglass::Preprocessing());
  }

  /// What it finds, and the maps of what is there, at the layer that `explain` takes.
  SceneMaps maps(const drawing::Scene& scene) {
    const sightglass::Pass pass(model_, input({scene}), {net_->features});
    SceneMaps found{scene.picture.clone(), {}};
    std::vector<bool> taken(scene.objects.size(), false);
    for (const sightglass::Detection& detection : sightglass::detections(pass.output(), layout)) {
      const cv::Rect2d box(cv::Point2d(detection.box[0], detection.box[1]),
                           cv::Point2d(detection.box[2], detection.box[3]));
      cv::rectangle(found.drawn, cv::Rect(box), cv::Scalar(255, 255, 255), 1);
      const size_t object = object_at(box, detection.label, scene);
      const bool right = object < scene.objects.size() && !taken[object];
      precise_.add(right);
      if (!right) continue;
      taken[object] = true;
      const std::string caption = name_of(scene.objects[object]) + " " + percent(detection.score);
      found.maps.emplace_back(object, caption, pass, detection.target);
    }
    for (const bool one : taken) recalled_.add(one);
    return found;
  }

  /// Of all scenes so far.
  std::string quality() const {
    return percent(recalled_.share()) + " of " + std::to_string(recalled_.total) + " objects found, " +
           percent(precise_.share()) + " of " + std::to_string(precise_.total) + " boxes right (IoU 0.5)";
  }

 private:
  static constexpr auto layout = sightglass::BoxLayout::class_columns;

  /// The number of the object of this class whose box is this one, IoU 0.5 or more; else that of objects.
  static size_t object_at(const cv::Rect2d& box, int64_t label, const drawing::Scene& scene) {
    const auto is_it = [&](const drawing::Object& object) {
      const double shared = (box & cv::Rect2d(object.box)).area();
      return object.label == label && shared >= 0.5 * (box.area() + object.box.area() - shared);
    };
    return static_cast<size_t>(std::find_if(scene.objects.begin(), scene.objects.end(), is_it) - scene.objects.begin());
  }

  DetectorNet net_;
  sightglass::Model model_;
  Count recalled_, precise_;
};

/// Trains a detector, evaluates its maps and writes all there is.
inline void run_detector(const ShapesOptions& options, cv::RNG& held_out) {
  const DetectorNet net = trained_detector(options);
  ExplainedDetector explained(net);
  evaluate_and_write(options.out, net, explained, {drawing::class_names(), detector_config(), ""}, held_out);
}

}  // namespace support
