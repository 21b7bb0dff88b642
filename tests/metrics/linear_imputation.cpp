#include <sightglass/metrics/linear_imputation.hpp>

#include <cstdlib>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

/// One plane `[H, W]` filled by a dense system, equation by equation as the paper writes them.
at::Tensor filled_densely(const at::Tensor& plane, const at::Tensor& removed) {
  const int64_t height = plane.size(0), width = plane.size(1), places = height * width;
  at::Tensor matrix = torch::eye(places, torch::kDouble);
  at::Tensor right = plane.flatten().clone();
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      if (!removed[y][x].item<bool>()) continue;
      at::Tensor row = torch::zeros({places}, torch::kDouble);
      for (int64_t dy = -1; dy <= 1; ++dy) {
        for (int64_t dx = -1; dx <= 1; ++dx) {
          const bool inside = y + dy >= 0 && y + dy < height && x + dx >= 0 && x + dx < width;
          if (!inside || (dy == 0 && dx == 0)) continue;
          row[(y + dy) * width + x + dx] = std::abs(dy) + std::abs(dx) == 1 ? 1. / 6 : 1. / 12;
        }
      }
      matrix[y * width + x] = -row / row.sum();
      matrix[y * width + x][y * width + x] = 1;
      right[y * width + x] = 0;
    }
  }
  return torch::linalg_solve(matrix, right.unsqueeze(1)).view({height, width});
}

sg::LinearImputationOptions exact() {
  sg::LinearImputationOptions options;
  options.tolerance = 1e-12;
  return options;
}

}  // namespace

TEST_CASE("one pixel becomes the mean of its neighbours, direct ones twice as heavy, by hand") {
  const at::Tensor image = torch::tensor({1.f, 2.f, 3.f, /**/ 4.f, 99.f, 6.f, /**/ 7.f, 8.f, 12.f}).view({1, 1, 3, 3});
  at::Tensor removed = torch::zeros({1, 1, 3, 3}, torch::kBool);
  removed[0][0][1][1] = true;
  // (1 + 3 + 7 + 12) / 12 + (2 + 4 + 6 + 8) / 6 = 63 / 12
  const at::Tensor filled = sg::linear_imputation(image, removed);
  CHECK(filled[0][0][1][1].item<float>() == Approx(63.0 / 12));
  CHECK(filled.masked_fill(removed, 0).equal(image.masked_fill(removed, 0)));
  // A corner has three neighbours: (2 + 4) / 6 and 99 / 12, of weights 5 / 12.
  removed = torch::zeros({1, 1, 3, 3}, torch::kBool);
  removed[0][0][0][0] = true;
  CHECK(sg::linear_imputation(image, removed)[0][0][0][0].item<float>() == Approx((1 + 99. / 12) * 12 / 5));
}

TEST_CASE("many pixels are what a dense solve of the paper's equations gives, plane by plane") {
  torch::manual_seed(1);
  const at::Tensor images = torch::randn({3, 2, 7, 9}, torch::kDouble);
  at::Tensor removed = torch::rand({3, 1, 7, 9}).lt(.6);
  removed[1].fill_(true);  // all but one pixel at an edge
  removed[1][0][0][4] = false;
  removed[2].fill_(false);  // nothing
  const at::Tensor filled = sg::linear_imputation(images, removed, exact());
  for (int64_t i = 0; i < 3; ++i) {
    for (int64_t channel = 0; channel < 2; ++channel) {
      CHECK(torch::allclose(filled[i][channel], filled_densely(images[i][channel], removed[i][0]), 1e-8, 1e-8));
    }
  }
  CHECK(filled[2].equal(images[2]));
}

TEST_CASE("the default tolerance is near enough for a large hole in float32") {
  torch::manual_seed(2);
  const at::Tensor image = torch::randn({1, 3, 96, 96}).cumsum(3).cumsum(2).div(30);
  at::Tensor removed = torch::zeros({1, 1, 96, 96}, torch::kBool);
  removed.slice(2, 4, 92).slice(3, 4, 92).fill_(true);
  const at::Tensor filled = sg::linear_imputation(image, removed);
  const at::Tensor wanted = sg::linear_imputation(image.to(torch::kDouble), removed, exact());
  CHECK((filled - wanted).abs().max().item<double>() < 2e-3 * image.std().item<double>());
}

TEST_CASE("planes that are solved at once do not keep others from being solved") {
  torch::manual_seed(4);
  const at::Tensor images = torch::randn({2, 1, 96, 96});
  at::Tensor removed = torch::rand({2, 1, 96, 96}).lt(.8);  // scattered pixels: few iterations
  removed[1].fill_(true);                                   // all but two: many
  removed[1][0][0].slice(0, 0, 2).fill_(false);
  const at::Tensor filled = sg::linear_imputation(images, removed);
  CHECK(torch::allclose(filled[0], sg::linear_imputation(images.slice(0, 0, 1), removed.slice(0, 0, 1))[0]));
  CHECK(filled.abs().max().item<float>() <= images.abs().max().item<float>());
}

TEST_CASE("values that were removed do not matter, and filled ones lie between those around them") {
  torch::manual_seed(3);
  const at::Tensor removed = torch::rand({1, 1, 8, 8}).lt(.7);
  const at::Tensor image = torch::rand({1, 1, 8, 8});
  const at::Tensor filled = sg::linear_imputation(image, removed, {1e-6, 2000});
  CHECK(filled.equal(sg::linear_imputation(image.masked_fill(removed, 77), removed, {1e-6, 2000})));
  const at::Tensor left = image.masked_select(removed.logical_not());
  CHECK(filled.min().item<float>() >= left.min().item<float>() - 1e-4f);
  CHECK(filled.max().item<float>() <= left.max().item<float>() + 1e-4f);
}

TEST_CASE("an image without a pixel left, too few iterations and wrong shapes are errors") {
  const at::Tensor image = torch::rand({1, 1, 32, 32});
  at::Tensor removed = torch::ones({1, 1, 32, 32}, torch::kBool);
  CHECK_THROWS_WITH(sg::linear_imputation(image, removed), ContainsSubstring("no pixel left"));
  removed.slice(2, 0, 1).fill_(false);
  CHECK_THROWS_WITH(sg::linear_imputation(image, removed, {1e-6, 1}), ContainsSubstring("max_iterations: 1"));
  CHECK_THROWS_WITH(sg::linear_imputation(image, removed.to(torch::kFloat)), ContainsSubstring("bool [M, 1, H, W]"));
}
