#pragma once

#include <torch/nn/functional/loss.h>
#include <sightglass/opencv.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "options.hpp"
#include "report.hpp"
#include "results.hpp"
#include "scenes.hpp"
#include "torchscript.hpp"
#include "training.hpp"
#include "support/progress.hpp"
#include "support/shapes_net.hpp"

// `shapes` as it is without options: a classifier of pictures of one object.
namespace support {

/// Pictures, and their classes: all that the network is told.
struct ClassifiedPictures {
  Pixels pixels;
  torch::Tensor labels;  // [N]

  explicit ClassifiedPictures(const std::vector<drawing::Scene>& scenes)
      : pixels(scenes), labels(torch::empty({static_cast<int64_t>(scenes.size())}, torch::kLong)) {
    for (size_t i = 0; i < scenes.size(); ++i) labels[static_cast<int64_t>(i)] = scenes[i].objects.front().label;
  }

  Stage stage(ShapesNet& net, int epochs) const {
    return {pixels.count(), pixels.side(), epochs, [&](const torch::Tensor& chosen, int way) -> BatchResult {
              static const sightglass::Preprocessing preprocessing = sightglass::imagenet(scene_side);
              const torch::Tensor own = labels.index_select(0, chosen);
              const torch::Tensor scores = net->forward(mirrored(pixels.inputs(chosen, preprocessing), way));
              return {torch::nn::functional::cross_entropy(scores, own), scores.argmax(1).eq(own).sum().item<double>(),
                      static_cast<double>(own.size(0))};
            }};
  }
};

/// Trains on small pictures first, where the object fills much and learning is fast, then on whole ones.
inline ShapesNet trained_classifier(const ShapesOptions& options) {
  constexpr int small_side = 112;
  const Clock clock;
  cv::RNG random(options.seed);
  const int epochs = options.epochs_or(42), small_epochs = epochs * 2 / 3;
  const ClassifiedPictures small(draw_scenes(random, small_side, options.pictures));
  const ClassifiedPictures whole(draw_scenes(random, scene_side, options.pictures));
  say_drawn(2 * options.pictures, clock);
  ShapesNet net(static_cast<int64_t>(drawing::class_names().size()));
  Training(net.ptr(), "accuracy", random)
      .run({small.stage(net, small_epochs), whole.stage(net, epochs - small_epochs)});
  net->fold_norm();
  say_trained(clock);
  return net;
}

/// How often a map is highest in the object's box, and on the object.
struct Pointing {
  Count in_box, on_object;
  void add(const sightglass::Explanation& explanation, const std::vector<drawing::Scene>& scenes) {
    for (size_t i = 0; i < scenes.size(); ++i) {
      const auto [x, y] = explanation.peak(static_cast<int64_t>(i));
      const cv::Point peak(static_cast<int>(x), static_cast<int>(y));
      const drawing::Object& object = scenes[i].objects.front();
      in_box.add(object.box.contains(peak));
      on_object.add(object.mask.at<uchar>(peak) != 0);
    }
  }
};

/// Explains decisions about pictures that the network has not seen, right or wrong, and counts where the maps peak.
inline void evaluate(const ShapesNet& net, cv::RNG& random) {
  constexpr int held_out = 512, batch = 32;
  Count right;
  Pointing grad_cam, cam;
  double box_share = 0, object_share = 0;
  Progress progress("explaining", held_out / batch);
  for (int done = 0; done < held_out; done += batch) {
    const std::vector<drawing::Scene> scenes = draw_scenes(random, scene_side, batch);
    const sightglass::Pass pass(net, input_of(scenes, sightglass::imagenet(scene_side)), {net->features});
    grad_cam.add(pass.explain(0, sightglass::GradCam{}), scenes);
    cam.add(pass.explain(0, sightglass::Cam{net->classifier->weight}), scenes);
    const torch::Tensor predicted = pass.output().argmax(1);
    for (size_t i = 0; i < scenes.size(); ++i) {
      const drawing::Object& object = scenes[i].objects.front();
      right.add(predicted[static_cast<int64_t>(i)].item<int>() == object.label);
      box_share += object.box.area() / static_cast<double>(scene_side * scene_side) / held_out;
      object_share += cv::countNonZero(object.mask) / static_cast<double>(scene_side * scene_side) / held_out;
    }
    progress.advance();
  }
  progress.say("\n" + std::to_string(held_out) + " held-out pictures, accuracy " + percent(right.share()), stdout);
  std::printf("where the map of the predicted class is highest:\n  %-28s %10s %12s\n", "", "in the box",
              "on the object");
  print_row("Grad-CAM", grad_cam.in_box.share(), grad_cam.on_object.share());
  print_row("CAM", cam.in_box.share(), cam.on_object.share());
  print_row("chance: a point anywhere", box_share, object_share);
}

/// Pictures with their boxes, each with the map of its prediction beside it.
inline cv::Mat explained_grid(const ShapesNet& net, const std::vector<drawing::Scene>& scenes) {
  const std::vector<std::string>& names = drawing::class_names();
  const sightglass::Pass pass(net, input_of(scenes, sightglass::imagenet(scene_side)), {net->features});
  const sightglass::Explanation explanation = pass.explain(0, sightglass::GradCam{});
  const torch::Tensor probabilities = pass.output().softmax(1);
  std::vector<sightglass::Tile> tiles;
  for (size_t i = 0; i < scenes.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    const drawing::Object& object = scenes[i].objects.front();
    const int64_t predicted = explanation.targets()[row].item<int64_t>();
    const std::string certainty = percent(probabilities[row][predicted].item<double>());
    tiles.push_back({with_box(scenes[i].picture, object.box), names[static_cast<size_t>(object.label)]});
    tiles.push_back({with_box(sightglass::overlay(scenes[i].picture, explanation.map(row)), object.box),
                     "taken for: " + names[static_cast<size_t>(predicted)] + ", " + certainty});
  }
  return sightglass::grid(tiles, sightglass::GridOptions().columns(8));
}

/// Trains a classifier, evaluates its maps and writes all there is.
inline void run_classifier(const ShapesOptions& options, cv::RNG& held_out) {
  ShapesNet net = trained_classifier(options);
  evaluate(net, held_out);
  const std::vector<drawing::Scene> scenes = draw_scenes(held_out, scene_side, 16);
  write_results(options.out, scenes,
                {explained_grid(net, scenes),
                 {drawing::class_names(), "", ""},
                 to_torchscript(net),
                 input_of(scenes, sightglass::imagenet(scene_side)),
                 [&](const torch::Tensor& input) { return net->forward(input); }});
}

}  // namespace support
