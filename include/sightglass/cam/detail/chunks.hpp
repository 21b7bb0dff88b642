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
int64_t batch_for(const Runs& runs, const at::Tensor& changed, Tail tail = Tail::once);

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
at::Tensor in_chunks(const Runs& runs, int64_t batch, int64_t count, int64_t& done, int64_t all,
                     const std::function<at::Tensor(int64_t first, int64_t last)>& score);

/// `[count]` times the number of one image.
inline at::Tensor of_image(int64_t image, int64_t count) { return at::full({count}, image, at::kLong); }

/// Gives the scores of variants number `first` to `last` of an image.
using ScoreOfRange = std::function<at::Tensor(int64_t image, int64_t first, int64_t last)>;

/// `[N, count]`: scores of `count` variants of each image of `changed`, the input or, where the `tail` alone runs
/// again, the activations; -infinity for those that were not run, as the caller stopped.
at::Tensor scores_so_far(const Runs& runs, Tail tail, const at::Tensor& changed, int64_t count,
                         const ScoreOfRange& score);

/// Which of `scores_so_far` were run.
at::Tensor were_run(const at::Tensor& scores);

/// `[N, count]`: all of them, or `Cancelled`.
at::Tensor scores_of_variants(const Runs& runs, const at::Tensor& changed, int64_t count, const ScoreOfRange& score);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/cam/detail/chunks_inl.hpp"
#endif
