#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "results.hpp"
#include "scenes.hpp"
#include "support/progress.hpp"
#include "support/rectangle.hpp"

// Maps of objects that stand beside others.
namespace support {

constexpr int shown_scenes = 12;

/// The maps of an object that was found.
struct ObjectMaps {
  size_t object;                                // its number in the scene
  sightglass::Explanation layer_cam, grad_cam;  // of a batch of one
  std::string caption;

  ObjectMaps(size_t number, std::string text, const sightglass::Pass& pass, const sightglass::Target& target)
      : object(number),
        layer_cam(pass.explain(0, sightglass::LayerCam{}, target)),
        grad_cam(pass.explain(0, sightglass::GradCam{}, target)),
        caption(std::move(text)) {}
};

/// What is found in a scene.
struct SceneMaps {
  cv::Mat drawn;  // the picture with all that is found
  std::vector<ObjectMaps> maps;
};

inline const std::string& name_of(const drawing::Object& object) {
  return drawing::class_names()[static_cast<size_t>(object.label)];
}

/// What lies in the box of an object, and in those of the scene's other objects.
struct BoxShares {
  double own = 0, others = 0;

  /// @param share_in of one box
  BoxShares(const drawing::Scene& scene, size_t object, const std::function<double(const cv::Rect& box)>& share_in) {
    for (size_t i = 0; i < scene.objects.size(); ++i) (i == object ? own : others) += share_in(scene.objects[i].box);
  }
};

/// Of a map's positive part.
inline BoxShares shares_of_map(const sightglass::Explanation& map, const drawing::Scene& scene, size_t object) {
  const torch::Tensor seen = map.resized(scene.picture.rows, scene.picture.cols)[0];
  return {scene, object, [&](const cv::Rect& box) { return sightglass::energy_in(seen, as_box(box)); }};
}

/// Of the place where a map is highest; a blank one has none.
inline BoxShares shares_of_peak(const sightglass::Explanation& map, const drawing::Scene& scene, size_t object) {
  const auto [x, y] = map.peak(0);
  const cv::Point peak(static_cast<int>(x), static_cast<int>(y));
  const bool ok = map.status(0) == sightglass::Status::ok;
  return {scene, object, [&](const cv::Rect& box) { return ok && box.contains(peak) ? 1.0 : 0.0; }};
}

/// Of the picture: what a map that is the same everywhere has, and a place at random.
inline BoxShares shares_of_picture(const drawing::Scene& scene, size_t object) {
  const double all = scene.picture.size().area();
  return {scene, object, [&](const cv::Rect& box) { return box.area() / all; }};
}

/// Means over many objects.
class MeanShares {
 public:
  void add(const BoxShares& shares) {
    own_ += shares.own;
    others_ += shares.others;
    ++count_;
  }
  int count() const { return count_; }
  void print(const std::string& name) const {
    print_row(name.c_str(), own_ / std::max(1, count_), others_ / std::max(1, count_));
  }

 private:
  double own_ = 0, others_ = 0;
  int count_ = 0;
};

/// How a method's maps lie. A blank one has no share in any box.
class MethodShares {
 public:
  explicit MethodShares(std::string method) : method_(std::move(method)) {}

  void add(const sightglass::Explanation& map, const drawing::Scene& scene, size_t object) {
    of_map_.add(shares_of_map(map, scene, object));
    of_peak_.add(shares_of_peak(map, scene, object));
    blank_.add(map.status(0) != sightglass::Status::ok);
  }

  void print() const {
    of_map_.print(method_ + ": of the map");
    of_peak_.print(method_ + ": of highest places");
    if (blank_.hits > 0) std::printf("  %s: %d maps are blank\n", method_.c_str(), blank_.hits);
  }

 private:
  std::string method_;
  MeanShares of_map_, of_peak_;
  Count blank_;
};

/// Explains what is found in pictures that the network has not seen.
/// @param explained has `maps(scene)`, and `quality()` of all of them
template <class Explained>
void evaluate_maps(Explained& explained, cv::RNG& random) {
  constexpr int held_out = 256;
  MethodShares layer_cam("LayerCAM"), grad_cam("Grad-CAM");
  MeanShares chance;
  Progress progress("explaining", held_out);
  for (const drawing::Scene& scene : draw_scenes_of_several(random, held_out)) {
    for (const ObjectMaps& maps : explained.maps(scene).maps) {
      layer_cam.add(maps.layer_cam, scene, maps.object);
      grad_cam.add(maps.grad_cam, scene, maps.object);
      chance.add(shares_of_picture(scene, maps.object));
    }
    progress.advance();
  }
  progress.say("\n" + std::to_string(held_out) + " held-out pictures, " + explained.quality(), stdout);
  std::printf("maps of the %d objects found:\n  %-28s %10s %12s\n", chance.count(), "", "own box", "other boxes");
  layer_cam.print();
  grad_cam.print();
  chance.print("chance: of the picture");
}

/// A row for two scenes: what is found in each, and LayerCAM of each object, with its own box.
template <class Explained>
cv::Mat grid_of_maps(Explained& explained, const std::vector<drawing::Scene>& scenes) {
  constexpr size_t most = 4;
  std::vector<sightglass::Tile> tiles;
  for (const drawing::Scene& scene : scenes) {
    const SceneMaps found = explained.maps(scene);
    tiles.push_back(
        {found.drawn, "found: " + std::to_string(found.maps.size()) + " of " + std::to_string(scene.objects.size())});
    for (size_t i = 0; i < most; ++i) {
      if (i >= found.maps.size()) {
        tiles.emplace_back();
        continue;
      }
      const ObjectMaps& maps = found.maps[i];
      const double inside = shares_of_map(maps.layer_cam, scene, maps.object).own;
      tiles.push_back(
          {with_box(sightglass::overlay(scene.picture, maps.layer_cam.map(0)), scene.objects[maps.object].box),
           maps.caption + ", in the box " + percent(inside)});
    }
  }
  return sightglass::grid(tiles, sightglass::GridOptions().columns(2 * (1 + static_cast<int>(most))));
}

/// Evaluates the maps of what a trained network finds, and writes all there is.
template <class Net, class Explained>
void evaluate_and_write(const fs::path& folder, Net net, Explained& explained, const NetworkNotes& notes,
                        cv::RNG& held_out) {
  evaluate_maps(explained, held_out);
  const std::vector<drawing::Scene> scenes = draw_scenes_of_several(held_out, shown_scenes);
  write_results(folder, scenes,
                {grid_of_maps(explained, scenes), notes, to_torchscript(net), Explained::input(scenes),
                 [&](const torch::Tensor& input) { return net->forward(input); }});
}

}  // namespace support
