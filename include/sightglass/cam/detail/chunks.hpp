#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <vector>

#include "sightglass/cam/cut.hpp"
#include "sightglass/cam/runs.hpp"

/// Many variants of an image, a batch at a time.
namespace sightglass::detail {

/// How many images a run takes. `changed`: of one image, the input or, where the tail alone runs `again`, the
/// activations.
inline int64_t batch_for(const Runs& runs, const at::Tensor& changed, Tail tail = Tail::once) {
  TORCH_CHECK(runs.max_batch >= 0, "max_batch: got ", runs.max_batch, ", expected a number of images, or 0");
  if (runs.max_batch > 0) return runs.max_batch;
  // Early layers give many times what they get. On the CPU, tensors beyond 32 MB come from the system and go back to it
  // each time, which costs up to as much as the computing.
  const int64_t bytes = changed.is_cpu() && tail == Tail::once ? 3'000'000 : 10'000'000;
  return std::clamp<int64_t>(bytes / std::max<int64_t>(1, changed.numel() * changed.element_size()), 1, 256);
}

inline bool goes_on(const Runs& runs, int64_t done, int64_t all) { return !runs.progress || runs.progress(done, all); }

/// Calls `run(first, last)` for the parts of `count`, `batch` at a time, and tells the progress after each; false where
/// the caller stopped.
template <class Run>
bool chunk_by_chunk(const Runs& runs, int64_t batch, int64_t count, int64_t& done, int64_t all, Run&& run) {
  for (int64_t first = 0; first < count; first += batch) {
    const int64_t last = std::min(count, first + batch);
    run(first, last);
    done += last - first;
    if (!goes_on(runs, done, all)) return false;
  }
  return true;
}

/// `[count]`: scores of `count` variants of one image, chunk by chunk, or `Cancelled`. `score(first, last)` gives those
/// of a range.
inline at::Tensor in_chunks(const Runs& runs, int64_t batch, int64_t count, int64_t& done, int64_t all,
                            const std::function<at::Tensor(int64_t first, int64_t last)>& score) {
  std::vector<at::Tensor> scores;
  const auto run = [&](int64_t first, int64_t last) { scores.push_back(score(first, last)); };
  if (!chunk_by_chunk(runs, batch, count, done, all, run)) throw Cancelled();
  return at::cat(scores);
}

/// `[count]` times the number of one image.
inline at::Tensor of_image(int64_t image, int64_t count) { return at::full({count}, image, at::kLong); }

/// Gives the scores of variants number `first` to `last` of an image.
using ScoreOfRange = std::function<at::Tensor(int64_t image, int64_t first, int64_t last)>;

/// `[N, count]`: scores of `count` variants of each image of `changed`, the input or, where the `tail` alone runs
/// again, the activations; -infinity for those that were not run, as the caller stopped.
inline at::Tensor scores_so_far(const Runs& runs, Tail tail, const at::Tensor& changed, int64_t count,
                                const ScoreOfRange& score) {
  const int64_t images = changed.size(0);
  const int64_t batch = batch_for(runs, changed.select(0, 0), tail);
  at::Tensor scores;
  int64_t done = 0;
  bool going_on = true;
  for (int64_t image = 0; going_on && image < images; ++image) {
    going_on = chunk_by_chunk(runs, batch, count, done, images * count, [&](int64_t first, int64_t last) {
      const at::Tensor part = score(image, first, last);
      if (!scores.defined()) scores = at::full({images, count}, -INFINITY, part.options());
      scores[image].slice(0, first, last).copy_(part);
    });
  }
  return scores;
}

/// Which of `scores_so_far` were run.
inline at::Tensor were_run(const at::Tensor& scores) { return scores.isneginf().logical_not(); }

/// `[N, count]`: all of them, or `Cancelled`.
inline at::Tensor scores_of_variants(const Runs& runs, const at::Tensor& changed, int64_t count,
                                     const ScoreOfRange& score) {
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

}  // namespace sightglass::detail
