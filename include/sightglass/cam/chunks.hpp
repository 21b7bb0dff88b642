#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "sightglass/cam/cut.hpp"

namespace sightglass {

/// How methods that run the model many times do it.
struct Runs {
  int64_t max_batch = 0;  ///< most images a run; 0: chosen such that an input takes at most 10 MB
  /// Told after each run how many of all images (steps, where a method goes by steps) are done; `false` stops the
  /// method, which throws `Cancelled`.
  std::function<bool(int64_t done, int64_t all)> progress = {};
};

/// Thrown when `Runs::progress` returned false.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled by the caller's progress function") {}
};

namespace detail {

inline int64_t batch_for(const Runs& runs, const at::Tensor& image) {
  TORCH_CHECK(runs.max_batch >= 0, "max_batch: came ", runs.max_batch, ", expected a number of images, or 0");
  if (runs.max_batch > 0) return runs.max_batch;
  constexpr int64_t bytes = 10'000'000;
  return std::clamp<int64_t>(bytes / std::max<int64_t>(1, image.numel() * image.element_size()), 1, 256);
}

/// `[count]`: scores of `count` variants of one image, chunk by chunk. `score(first, last)` gives those of a range.
inline at::Tensor in_chunks(const Runs& runs, int64_t batch, int64_t count, int64_t& done, int64_t all,
                            const std::function<at::Tensor(int64_t first, int64_t last)>& score) {
  std::vector<at::Tensor> scores;
  for (int64_t first = 0; first < count; first += batch) {
    const int64_t last = std::min(count, first + batch);
    scores.push_back(score(first, last));
    done += last - first;
    if (runs.progress && !runs.progress(done, all)) throw Cancelled();
  }
  return at::cat(scores);
}

/// `[count]` times the number of one image.
inline at::Tensor of_image(int64_t image, int64_t count) { return at::full({count}, image, at::kLong); }

/// `[N, count]`: scores of `count` variants of each image of `changed`, the input or the activations. `score(image,
/// first, last)` gives those of a range.
inline at::Tensor scores_of_variants(
    const Runs& runs, const at::Tensor& changed, int64_t count,
    const std::function<at::Tensor(int64_t image, int64_t first, int64_t last)>& score) {
  const int64_t images = changed.size(0);
  const int64_t batch = batch_for(runs, changed.select(0, 0));
  int64_t done = 0;
  std::vector<at::Tensor> all;
  for (int64_t image = 0; image < images; ++image) {
    all.push_back(in_chunks(runs, batch, count, done, images * count,
                            [&](int64_t first, int64_t last) { return score(image, first, last); }));
  }
  return at::stack(all);
}

}  // namespace detail

}  // namespace sightglass
