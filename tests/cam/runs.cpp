#include <sightglass/cam/detail/chunks.hpp>

#include <torch/torch.h>

#include <utility>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("without max_batch, what a run is given takes at most 3 or 10 MB, and one image at least") {
  CHECK(sg::detail::batch_for({}, torch::zeros({3, 224, 224})) == 4);  // 602112 bytes each
  CHECK(sg::detail::batch_for({}, torch::zeros({3, 224, 224}), sg::Tail::again) == 16);
  CHECK(sg::detail::batch_for({}, torch::zeros({3, 224, 224}, at::kMeta)) == 16);
  CHECK(sg::detail::batch_for({}, torch::zeros({1})) == 256);
  CHECK(sg::detail::batch_for({}, torch::zeros({1}).expand({3, 4000, 4000})) == 1);
  CHECK(sg::detail::batch_for({5, {}}, torch::zeros({1}).expand({3, 4000, 4000})) == 5);
  CHECK_THROWS_WITH(sg::detail::batch_for({-1, {}}, torch::zeros({1})), ContainsSubstring("max_batch: got -1"));
}

TEST_CASE("scores come chunk by chunk, in order, and progress counts them") {
  std::vector<std::pair<int64_t, int64_t>> told, ranges;
  sg::Runs runs;
  runs.progress = [&](int64_t done, int64_t all) {
    told.emplace_back(done, all);
    return true;
  };
  int64_t done = 10;
  const at::Tensor scores = sg::detail::in_chunks(runs, 3, 7, done, 17, [&](int64_t first, int64_t last) {
    ranges.emplace_back(first, last);
    return torch::arange(first, last);
  });
  CHECK(scores.equal(torch::arange(7)));
  CHECK(ranges == std::vector<std::pair<int64_t, int64_t>>{{0, 3}, {3, 6}, {6, 7}});
  CHECK(told == std::vector<std::pair<int64_t, int64_t>>{{13, 17}, {16, 17}, {17, 17}});
}

TEST_CASE("a progress function that returns false stops the method after that run") {
  int64_t done = 0, chunks = 0;
  sg::Runs runs;
  runs.progress = [](int64_t so_far, int64_t) { return so_far < 4; };
  const auto score = [&](int64_t first, int64_t last) {
    ++chunks;
    return torch::zeros({last - first});
  };
  CHECK_THROWS_AS(sg::detail::in_chunks(runs, 2, 100, done, 100, score), sg::Cancelled);
  CHECK(chunks == 2);
}

TEST_CASE("the variants of each image are scored apart") {
  std::vector<std::pair<int64_t, int64_t>> told;
  sg::Runs runs;
  runs.max_batch = 2;
  runs.progress = [&](int64_t done, int64_t all) {
    told.emplace_back(done, all);
    return true;
  };
  const at::Tensor scores =
      sg::detail::scores_of_variants(runs, torch::zeros({2, 5}), 3, [](int64_t image, int64_t first, int64_t last) {
        return torch::arange(first, last, torch::kFloat) + 10 * image;
      });
  CHECK(scores.equal(torch::tensor({{0.f, 1.f, 2.f}, {10.f, 11.f, 12.f}})));
  CHECK(told == std::vector<std::pair<int64_t, int64_t>>{{2, 6}, {3, 6}, {5, 6}, {6, 6}});
  CHECK(sg::detail::of_image(3, 2).equal(torch::tensor({3, 3})));
}

TEST_CASE("scores that were run are kept when the caller stops, or all are given up") {
  sg::Runs runs;
  runs.max_batch = 2;
  runs.progress = [](int64_t done, int64_t) { return done < 4; };
  const auto score = [](int64_t image, int64_t first, int64_t last) {
    return torch::arange(first, last, torch::kFloat) + 10 * image;
  };
  const at::Tensor scores = sg::detail::scores_so_far(runs, sg::Tail::once, torch::zeros({3, 5}), 3, score);
  CHECK(scores.slice(0, 0, 2).flatten().slice(0, 0, 5).equal(torch::tensor({0.f, 1.f, 2.f, 10.f, 11.f})));
  CHECK(sg::detail::were_run(scores).sum().item<int64_t>() == 5);
  CHECK_FALSE(sg::detail::were_run(scores)[2].any().item<bool>());
  CHECK_THROWS_AS(sg::detail::scores_of_variants(runs, torch::zeros({3, 5}), 3, score), sg::Cancelled);
}
