#include <sightglass/metrics/similarity.hpp>

#include <cmath>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("correlation is 1 for a rising line, -1 for a falling one, and 0 for a constant map") {
  const at::Tensor map = torch::tensor({1.f, 2.f, 3.f, 6.f}).view({1, 2, 2});
  CHECK(sg::correlation(map, map * 3 + 7).item<double>() == Approx(1));
  CHECK(sg::correlation(map, 1 - map).item<double>() == Approx(-1));
  CHECK(sg::correlation(map, torch::ones({1, 2, 2})).item<double>() == 0);
  // By hand: deviations (-2 -1 0 3) and (-.5 .5 .5 -.5): -1 / sqrt(14 * 1).
  const at::Tensor other = torch::tensor({0.f, 1.f, 1.f, 0.f}).view({1, 2, 2});
  CHECK(sg::correlation(map, other).item<double>() == Approx(-1 / std::sqrt(14.0)));
}

TEST_CASE("rank correlation sees the order alone, and equal values share their rank") {
  const at::Tensor map = torch::tensor({-1.f, 0.f, 5.f, 2.f}).view({1, 2, 2});
  CHECK(sg::rank_correlation(map, map.exp()).item<double>() == Approx(1));
  const at::Tensor tied = torch::tensor({1.f, 2.f, 2.f, 3.f}).view({1, 2, 2});
  const at::Tensor other = torch::tensor({3.f, 1.f, 2.f, 4.f}).view({1, 2, 2});
  // Ranks from their mean: (-1.5 0 0 1.5) and (.5 -1.5 -.5 1.5): 1.5 / sqrt(4.5 * 5).
  CHECK(sg::rank_correlation(tied, other).item<double>() == Approx(1.5 / std::sqrt(22.5)));
}

TEST_CASE("images are compared one by one") {
  torch::manual_seed(1);
  const at::Tensor a = torch::rand({3, 12, 13});
  const at::Tensor b = torch::rand({3, 12, 13});
  for (int64_t i = 0; i < 3; ++i) {
    const at::Tensor one = a.slice(0, i, i + 1), other = b.slice(0, i, i + 1);
    CHECK(sg::rank_correlation(a, b)[i].item<double>() == Approx(sg::rank_correlation(one, other).item<double>()));
    CHECK(sg::structural_similarity(a, b)[i].item<double>() ==
          Approx(sg::structural_similarity(one, other).item<double>()));
  }
}

TEST_CASE("structural similarity of one window is the paper's formula on weighted moments") {
  torch::manual_seed(2);
  const at::Tensor a = torch::rand({1, 11, 11}, torch::kDouble);
  const at::Tensor b = torch::rand({1, 11, 11}, torch::kDouble);
  at::Tensor weights = torch::zeros({11, 11}, torch::kDouble);
  for (int64_t y = 0; y < 11; ++y) {
    for (int64_t x = 0; x < 11; ++x) {
      weights[y][x] = std::exp(-static_cast<double>((y - 5) * (y - 5) + (x - 5) * (x - 5)) / 4.5);
    }
  }
  weights /= weights.sum();
  const auto mean = [&](const at::Tensor& values) { return (weights * values[0]).sum().item<double>(); };
  const double ma = mean(a), mb = mean(b);
  const double va = mean((a - ma).square()), vb = mean((b - mb).square()), cov = mean((a - ma) * (b - mb));
  const double wanted = (2 * ma * mb + 1e-4) * (2 * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
  CHECK(sg::structural_similarity(a, b).item<double>() == Approx(wanted));
  CHECK(sg::structural_similarity(a, a).item<double>() == Approx(1));
}

TEST_CASE("maps of two shapes, and too small ones for windows, are errors") {
  CHECK_THROWS_WITH(sg::correlation(torch::rand({1, 2, 2}), torch::rand({1, 2, 3})),
                    ContainsSubstring("maps: got [1, 2, 2] and [1, 2, 3]"));
  CHECK_THROWS_WITH(sg::structural_similarity(torch::rand({1, 7, 7}), torch::rand({1, 7, 7})),
                    ContainsSubstring("at least 11 x 11"));
}
