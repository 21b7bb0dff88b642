#include <sightglass/cam/methods/kpca_cam.hpp>

#include <cmath>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;

TEST_CASE("kpca_cam of two places is computed on paper") {
  // Centred activations t and -t: K = (u v; v u), u = tanh(t^2 + 1), v = tanh(1 - t^2). Centred (u - v) / 2 (1 -1; -1
  // 1): eigenvalue u - v, projections +-sqrt((u - v) / 2).
  const double size = std::sqrt((std::tanh(1.25) - std::tanh(.75)) / 2);  // t = .5
  const at::Tensor a = torch::tensor({3.f, 4.f});
  for (const at::Tensor& map : {sg::kpca_cam(a.view({1, 1, 2})), sg::kpca_cam(a.view({1, 1, 1, 2, 1})).flatten(1)}) {
    CHECK(map.sum().item<double>() == Approx(0).margin(1e-6));
    CHECK(map.max().item<double>() == Approx(size));
  }
}

TEST_CASE("kpca_cam is the projection on the first component of the centred kernel, in loops") {
  torch::manual_seed(1);
  const at::Tensor a = torch::randn({1, 3, 7}).to(at::kDouble);
  at::Tensor kernel = torch::zeros({7, 7}, at::kDouble);
  for (int64_t p = 0; p < 7; ++p) {
    for (int64_t q = 0; q < 7; ++q) {
      double product = 0;
      for (int64_t k = 0; k < 3; ++k) {
        const at::Tensor mean = a[0][k].mean();
        product += ((a[0][k][p] - mean) * (a[0][k][q] - mean)).item<double>();
      }
      kernel[p][q] = std::tanh(product / 3 + 1);
    }
  }
  const at::Tensor centre = torch::eye(7, at::kDouble) - torch::full({7, 7}, 1.0 / 7, at::kDouble);
  at::Tensor vector = torch::rand({7}, at::kDouble);
  const at::Tensor centred = centre.matmul(kernel).matmul(centre);
  // Power iteration on a shifted matrix, so that the highest eigenvalue is also the largest.
  const at::Tensor shifted = centred + torch::eye(7, at::kDouble) * centred.norm();
  for (int i = 0; i < 5000; ++i) vector = shifted.matmul(vector) / shifted.matmul(vector).norm();
  const double value = vector.dot(centred.matmul(vector)).item<double>();
  const at::Tensor wanted = vector * std::sqrt(value);
  const at::Tensor map = sg::kpca_cam(a)[0];
  CHECK((torch::allclose(map, wanted, 1e-4, 1e-5) || torch::allclose(map, -wanted, 1e-4, 1e-5)));
  CHECK(map.max().item<double>() >= -map.min().item<double>());
}

TEST_CASE("kpca_cam of equal activations is not NaN; NaN stays in its image") {
  CHECK(sg::kpca_cam(torch::zeros({1, 3, 2, 2})).isfinite().all().item<bool>());
  at::Tensor a = torch::arange(24.f).view({2, 3, 4});
  a[1][2][3] = NAN;
  const at::Tensor maps = sg::kpca_cam(a);
  CHECK(maps[0].isfinite().all().item<bool>());
  CHECK(maps[1].isnan().all().item<bool>());
  CHECK_THROWS_WITH(sg::kpca_cam(torch::zeros({2, 3})), ContainsSubstring("activations: got [2, 3]"));
}

TEST_CASE("KPCA-CAM of a batch is that of its images") { support::check_batch_is_its_images(sg::KpcaCam{}); }

TEST_CASE("KPCA-CAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::KpcaCam{});
}
