#pragma once

#include <sightglass/opencv.hpp>

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "net.hpp"
#include "pictures.hpp"

// What the decisions of `pets` rest on.
namespace support {

/// Explains the decisions of a trained network by the last layers of its last two groups.
class PetsMaps {
 public:
  PetsMaps(const PetsNet& net, const PictureSet& set, int64_t size)
      : net_(net),
        model_(net),
        set_(set),
        size_(size),
        layers_{net->backbone->last(), net->backbone->second_to_last()} {}

  /// Does Grad-CAM of the true class point into the box? Pictures without one are left out.
  void play(const std::vector<size_t>& chosen, sightglass::PointingGame& game) const {
    for (const size_t i : chosen) {
      const Item& item = set_.items[i];
      if (!item.box) continue;
      const cv::Mat picture = item.picture();
      const sightglass::Pass pass(model_, input(picture), {layer(0)});
      game.add(pass.explain(0, sightglass::GradCam{}, sightglass::Target(item.label)), 0, *item.box, picture.rows,
               picture.cols);
    }
  }

  /// Prints the probabilities of one picture; gives it and its maps side by side, for the predicted class.
  cv::Mat explain(const cv::Mat& picture, const std::string& name) const {
    const sightglass::Pass pass(model_, input(picture), {layer(0), layer(1)});
    const torch::Tensor probabilities = pass.output().softmax(1)[0];
    const int64_t predicted = probabilities.argmax().item<int64_t>();
    print(name, probabilities);
    std::vector<sightglass::Tile> tiles{{picture, name}};
    const auto add = [&](const sightglass::Explanation& map, const std::string& method, size_t at) {
      tiles.push_back({sightglass::overlay(picture, map.map(0)), method + ", " + word(predicted) + ", " + layers_[at]});
    };
    if (fits_cam())
      add(pass.explain(0, sightglass::Cam{net_->last->weight}), "CAM", 0);
    else
      std::printf(
          "no CAM: the last linear layer reads %lld numbers of the head, the last layer has %lld channels; "
          "Grad-CAM asks for no such match\n",
          static_cast<long long>(PetsNetImpl::hidden), static_cast<long long>(net_->backbone->channels()));
    add(pass.explain(0, sightglass::GradCam{}), "Grad-CAM", 0);
    add(pass.explain(1, sightglass::GradCam{}), "Grad-CAM", 1);
    return sightglass::grid(tiles, sightglass::GridOptions().columns(static_cast<int>(tiles.size())));
  }

  /// Several pictures, each with the Grad-CAM map of what it is taken for.
  cv::Mat overview(const std::vector<size_t>& chosen) const {
    std::vector<sightglass::Tile> tiles;
    for (const size_t i : chosen) {
      const Item& item = set_.items[i];
      const cv::Mat picture = item.picture();
      const sightglass::Pass pass(model_, input(picture), {layer(0)});
      const sightglass::Explanation map = pass.explain(0, sightglass::GradCam{});
      tiles.push_back({picture, item.name});
      tiles.push_back({sightglass::overlay(picture, map.map(0)), "taken for: " + word(map.targets().item<int64_t>())});
    }
    return sightglass::grid(tiles, sightglass::GridOptions().columns(6));
  }

 private:
  sightglass::Layer layer(size_t at) const { return model_.layer("backbone." + layers_[at]); }
  torch::Tensor input(const cv::Mat& picture) const {
    return sightglass::to_tensor(picture, sightglass::imagenet(size_));
  }
  const std::string& word(int64_t label) const { return set_.vocabulary[static_cast<size_t>(label)]; }

  /// fastai's chapter on interpretation multiplies the last layer's channels with the weights of the last linear layer.
  /// Between them are pooling and another linear layer, so that the two meet by number only, where a backbone has 512
  /// channels: a map as that chapter's, and no more than that.
  bool fits_cam() const { return net_->backbone->channels() == PetsNetImpl::hidden; }

  void print(const std::string& name, const torch::Tensor& probabilities) const {
    std::printf("\n%s\n", name.c_str());
    for (int64_t label = 0; label < probabilities.size(0); ++label)
      std::printf("  %-12s %.4f\n", word(label).c_str(), probabilities[label].item<double>());
  }

  PetsNet net_;
  sightglass::Model model_;
  const PictureSet& set_;
  int64_t size_;
  std::vector<std::string> layers_;  // of the backbone: last, second to last
};

}  // namespace support
