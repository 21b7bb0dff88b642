#include <sightglass/cam/methods/eigen_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;

TEST_CASE("eigen_cam of activations of rank one is their common pattern") {
  // Channels 3 p and 4 p, p = (1 2 -3): the singular vector is (.6 .8), the projection 5 p, turned for its peak.
  const at::Tensor p = torch::tensor({1.f, 2.f, -3.f});
  const at::Tensor a = torch::stack({3 * p, 4 * p});
  CHECK(support::near(sg::eigen_cam(a.view({1, 2, 3})), (-5 * p).view({1, 3})));
  CHECK(support::near(sg::eigen_cam(a.view({1, 2, 1, 3, 1})), (-5 * p).view({1, 1, 3, 1})));
}

TEST_CASE("eigen_cam is the projection on the first right singular vector, with fewer channels and with more") {
  torch::manual_seed(1);
  for (const int64_t channels : {3, 40}) {
    for (const sg::Centring centring : {sg::Centring::none, sg::Centring::channel_means}) {
      const at::Tensor a = torch::randn({2, channels, 4, 5});
      const at::Tensor maps = sg::eigen_cam(a, centring);
      for (int64_t i = 0; i < 2; ++i) {
        at::Tensor matrix = a[i].flatten(1).t().to(at::kDouble);  // [places, channels]
        if (centring == sg::Centring::channel_means) matrix = matrix - matrix.mean(0, true);
        at::Tensor projected = matrix.matmul(std::get<2>(torch::linalg_svd(matrix, false))[0]);
        if ((-projected).max().item<double>() > projected.max().item<double>()) projected = -projected;
        CHECK(torch::allclose(maps[i].flatten().to(at::kDouble), projected, 1e-3, 1e-4));
      }
    }
  }
}

TEST_CASE("the first eigenvector by squaring is LAPACK's, for close eigenvalues, many scales and zeros too") {
  torch::manual_seed(7);
  const auto check = [](const at::Tensor& matrices) {
    const at::Tensor found = sg::detail::first_eigenvector_by_squaring(matrices);
    const at::Tensor wanted = sg::detail::first_eigenvector(matrices);
    CHECK(torch::allclose((found * wanted).sum(1).abs(), torch::ones({matrices.size(0)}, torch::kDouble), 0, 1e-12));
  };
  for (const int64_t size : {1, 2, 49, 300}) {
    INFO(size);
    const at::Tensor a = torch::randn({3, size, 20}, torch::kDouble);
    check(a.bmm(a.transpose(1, 2)) * torch::tensor({1e-100, 1., 1e100}, torch::kDouble).view({3, 1, 1}));
  }
  const at::Tensor q = std::get<0>(torch::linalg_qr(torch::randn({1, 6, 6}, torch::kDouble)));
  check(q.bmm(torch::diag_embed(torch::tensor({{1., 1 - 1e-6, .5, 1e-3, 0., 0.}}, torch::kDouble)))
            .bmm(q.transpose(1, 2)));
  CHECK(sg::detail::first_eigenvector_by_squaring(torch::zeros({1, 3, 3}, torch::kDouble)).eq(0).all().item<bool>());
}

TEST_CASE("eigen_cam of zero activations is 0, never NaN; NaN stays in its image") {
  CHECK(sg::eigen_cam(torch::zeros({1, 3, 2, 2})).equal(torch::zeros({1, 2, 2})));
  CHECK(sg::eigen_cam(torch::zeros({1, 9, 2, 2}), sg::Centring::channel_means).equal(torch::zeros({1, 2, 2})));
  at::Tensor a = torch::ones({2, 3, 4});
  a[1][2][3] = NAN;
  const at::Tensor maps = sg::eigen_cam(a);
  CHECK(maps[0].isfinite().all().item<bool>());
  CHECK(maps[1].isnan().any().item<bool>());
}

TEST_CASE("eigen_grad_cam is eigen_cam of gradient times activation, and says what does not fit") {
  // Products 3 p and 4 p.
  const at::Tensor p = torch::tensor({1.f, 2.f, 3.f});
  const at::Tensor a = torch::stack({p, 2 * p}).unsqueeze(0);
  const at::Tensor g = torch::tensor({3.f, 3.f, 3.f, /**/ 2.f, 2.f, 2.f}).view({1, 2, 3});
  CHECK(support::near(sg::eigen_grad_cam(a, g), (5 * p).unsqueeze(0)));
  CHECK_THROWS_WITH(sg::eigen_grad_cam(a, g.squeeze(0)), ContainsSubstring("gradients: got [2, 3]"));
  CHECK_THROWS_WITH(sg::eigen_cam(torch::zeros({2, 3})), ContainsSubstring("activations: got [2, 3]"));
}

TEST_CASE("Eigen-CAM and EigenGrad-CAM of a batch are those of its images") {
  support::check_batch_is_its_images(sg::EigenCam{});
  support::check_batch_is_its_images(sg::EigenCam{sg::Centring::channel_means});
  support::check_batch_is_its_images(sg::EigenGradCam{});
}

TEST_CASE("Eigen-CAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::EigenCam{});
}
