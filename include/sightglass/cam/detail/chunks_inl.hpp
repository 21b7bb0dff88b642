#pragma once

#include "sightglass/cam/detail/chunks.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE int64_t batch_for(const Runs& runs, const at::Tensor& changed, Tail tail) {
  TORCH_CHECK(runs.max_batch >= 0, "max_batch: got ", runs.max_batch, ", expected a number of images, or 0");
  if (runs.max_batch > 0) return runs.max_batch;
  // Early layers give many times what they get. On the CPU, tensors beyond 32 MB come from the system and go back to it
  // each time, which costs up to as much as the computing.
  const int64_t bytes = changed.is_cpu() && tail == Tail::once ? 3'000'000 : 10'000'000;
  return std::clamp<int64_t>(bytes / std::max<int64_t>(1, changed.numel() * changed.element_size()), 1, 256);
}

SIGHTGLASS_INLINE at::Tensor in_chunks(const Runs& runs, int64_t batch, int64_t count, int64_t& done, int64_t all,
                                       const std::function<at::Tensor(int64_t first, int64_t last)>& score) {
  std::vector<at::Tensor> scores;
  const auto run = [&](int64_t first, int64_t last) { scores.push_back(score(first, last)); };
  if (!chunk_by_chunk(runs, batch, count, done, all, run)) throw Cancelled();
  return at::cat(scores);
}

SIGHTGLASS_INLINE at::Tensor scores_so_far(const Runs& runs, Tail tail, const at::Tensor& changed, int64_t count,
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

SIGHTGLASS_INLINE at::Tensor were_run(const at::Tensor& scores) { return scores.isneginf().logical_not(); }

SIGHTGLASS_INLINE at::Tensor scores_of_variants(const Runs& runs, const at::Tensor& changed, int64_t count,
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
