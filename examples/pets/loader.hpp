#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <exception>
#include <future>
#include <mutex>
#include <random>
#include <utility>
#include <vector>

#include "pictures.hpp"

namespace support {

/// What a network is given at once.
struct Batch {
  torch::Tensor inputs;  // [N, 3, S, S], normalised as for ImageNet
  torch::Tensor labels;  // [N]
};

/// Whether a picture is cut and mirrored at random, or taken whole.
enum class Augment { none, crop_and_flip };

/// A random part of the picture, mirrored or not, as fastai's RandomResizedCrop(min_scale=smallest).
inline cv::Mat augmented(const cv::Mat& picture, double smallest, uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto uniform = [&](double low, double high) {
    return low + (high - low) * static_cast<double>(random() >> 11) / 9007199254740992.0;  // 2^53
  };
  const double share = uniform(smallest, 1.0), ratio = std::exp(uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
  const double area = share * picture.rows * picture.cols;
  const int width = std::clamp(cvRound(std::sqrt(area * ratio)), 1, picture.cols);
  const int height = std::clamp(cvRound(std::sqrt(area / ratio)), 1, picture.rows);
  const int x = static_cast<int>(uniform(0, picture.cols - width + 0.999));
  const int y = static_cast<int>(uniform(0, picture.rows - height + 0.999));
  cv::Mat cut = picture(cv::Rect(x, y, width, height)).clone();
  if (random() % 2 == 0) cv::flip(cut, cut, 1);
  return cut;
}

/// Makes batches in worker threads while the last one is being used. Which pictures, in which order and how they are
/// cut follows from the seed alone, not from the workers.
class Loader {
 public:
  struct Settings {
    int64_t size = 224;
    size_t batch = 16;
    int workers = 2;
  };

  Loader(const PictureSet& set, std::vector<size_t> chosen, Settings settings, Augment augment, uint64_t seed)
      : set_(set), chosen_(std::move(chosen)), settings_(settings), augment_(augment), seed_(seed) {
    if (augment_ == Augment::crop_and_flip) {
      std::vector<size_t> order;
      for (const size_t i : shuffled(chosen_.size(), seed_)) order.push_back(chosen_[i]);
      chosen_ = std::move(order);
    }
  }

  size_t pictures() const { return chosen_.size(); }
  /// As evenly filled as can be: batch norm cannot learn from one picture.
  size_t batches() const { return std::max<size_t>(1, (chosen_.size() + settings_.batch - 1) / settings_.batch); }

  /// Calls `use(batch)` for all, in order.
  template <class Use>
  void for_each(Use&& use) const {
    std::future<Batch> next = start(0);
    for (size_t number = 0; number < batches(); ++number) {
      const Batch batch = next.get();
      if (number + 1 < batches()) next = start(number + 1);
      use(batch);
    }
  }

 private:
  std::future<Batch> start(size_t number) const {
    return std::async(std::launch::async, [this, number] { return make(number); });
  }

  Batch make(size_t number) const {
    const size_t first = number * chosen_.size() / batches(), last = (number + 1) * chosen_.size() / batches();
    std::vector<torch::Tensor> inputs(last - first), labels(last - first);
    std::exception_ptr failed;
    std::mutex lock;
    const std::function<void(size_t)> load = [&](size_t i) {
      try {
        const Item& item = set_.items[chosen_[first + i]];
        cv::Mat picture = item.picture();
        if (augment_ == Augment::crop_and_flip)
          picture = augmented(picture, set_.smallest_part, mixed({seed_, chosen_[first + i]}));
        inputs[i] = sightglass::to_tensor(picture, sightglass::imagenet(settings_.size));
        labels[i] = torch::tensor({item.label});
      } catch (...) {
        const std::lock_guard<std::mutex> guard(lock);
        failed = std::current_exception();
      }
    };
    in_parallel(last - first, settings_.workers, load);
    if (failed) std::rethrow_exception(failed);
    return {torch::cat(inputs), torch::cat(labels)};
  }

  const PictureSet& set_;
  std::vector<size_t> chosen_;
  Settings settings_;
  Augment augment_;
  uint64_t seed_;
};

}  // namespace support
