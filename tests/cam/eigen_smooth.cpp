#include <sightglass/cam/eigen_smooth.hpp>
#include <sightglass/sightglass.hpp>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

namespace {

/// The projection on the first singular vector of one image's weighted activations `[C, *S]`, channel means taken off,
/// as NumPy users write it; turned to go along with the sum.
at::Tensor projection(const at::Tensor& weighted) {
  at::Tensor matrix = weighted.flatten(1).t().to(at::kDouble);  // [places, channels]
  matrix = matrix - matrix.mean(0, true);
  const at::Tensor vector = std::get<2>(torch::linalg_svd(matrix, false))[0];
  at::Tensor projected = matrix.matmul(vector);
  if ((projected * matrix.sum(1)).sum().item<double>() < 0) projected = -projected;
  return projected.relu().view(weighted.sizes().slice(1)).to(at::kFloat);
}

/// A cut of the small net for class 1.
struct SmallCut {
  support::SmallNet net = support::small_net();
  sg::Pass pass{sg::Model(net), support::small_pictures(2), {sg::Layer(net->features)}, sg::Tail::again};
  sg::Cut cut = pass.at(0, sg::Target(1));
};

template <class Method>
void check_is_the_sum_of_weighted(const Method& method) {
  const SmallCut small;
  CHECK(support::near(method(small.cut), method.weighted(small.cut).sum(1).relu()));
}

}  // namespace

TEST_CASE("eigen smoothing is the first component of the weighted activations, computed on paper") {
  // Two channels, less their means: p = (-1 0 1) and 2 p, so the component is (1 2) / sqrt 5 and the projection
  // sqrt 5 p; turned to go along with the sum 3 p, rectified.
  const at::Tensor a = torch::tensor({0.f, 1.f, 2.f, 4.f, 6.f, 8.f}).view({1, 2, 3});
  const float root = std::sqrt(5.f);
  CHECK(support::near(sg::detail::first_component(a), torch::tensor({0.f, 0.f, root}).view({1, 3})));
  CHECK(support::near(sg::detail::first_component(-a), torch::tensor({root, 0.f, 0.f}).view({1, 3})));
  CHECK(sg::detail::first_component(torch::zeros({2, 3, 2, 2})).equal(torch::zeros({2, 2, 2})));
}

TEST_CASE("methods give their weighted activations, of which the rectified sum is their map") {
  check_is_the_sum_of_weighted(sg::GradCam{});
  check_is_the_sum_of_weighted(sg::HiResCam{});
  check_is_the_sum_of_weighted(sg::GradCamElementWise{});
  check_is_the_sum_of_weighted(sg::GradCamPlusPlus{});
  check_is_the_sum_of_weighted(sg::XGradCam{});
  check_is_the_sum_of_weighted(sg::LayerCam{});
  check_is_the_sum_of_weighted(sg::ShapleyCam{});
  check_is_the_sum_of_weighted(sg::AblationCam{});
  check_is_the_sum_of_weighted(sg::ScoreCam{3});
  check_is_the_sum_of_weighted(sg::FinerCam<sg::LayerCam>{{}, .5, 1});
}

TEST_CASE("eigen smoothing of Grad-CAM and of LayerCAM, by a singular value decomposition") {
  const SmallCut small;
  const at::Tensor a = small.cut.activations();
  support::SmallNet net = small.net;
  const at::Tensor g = support::gradient_at(net, a, 1);
  const at::Tensor by_channel = sg::EigenSmoothed<>{}(small.cut);
  const at::Tensor by_place = sg::EigenSmoothed<sg::LayerCam>{}(small.cut);
  for (int64_t i = 0; i < 2; ++i) {
    CHECK(torch::allclose(by_channel[i], projection(a[i] * g[i].mean(at::IntArrayRef{1, 2}, true)), 1e-3, 1e-5));
    CHECK(torch::allclose(by_place[i], projection(a[i] * g[i].relu()), 1e-3, 1e-5));
  }
}

TEST_CASE("eigen smoothing wraps methods of one's own, whose maps weigh the activations") {
  const SmallCut small;
  const auto sum = [](const sg::Cut& cut) { return cut.activations().sum(1) - 1; };
  const at::Tensor map = sg::EigenSmoothed<decltype(sum)>{sum}(small.cut);
  const at::Tensor a = small.cut.activations();
  for (int64_t i = 0; i < 2; ++i) {
    CHECK(torch::allclose(map[i], projection(a[i] * (a[i].sum(0) - 1).relu()), 1e-3, 1e-5));
  }
  CHECK_THROWS_WITH(sg::EigenSmoothed<sg::Saliency>{}(small.cut), ContainsSubstring("is not of the layer's size"));
}

TEST_CASE("eigen smoothing: a batch is its images, precision is kept, in inference mode too") {
  support::check_batch_is_its_images(sg::EigenSmoothed<>{});
  support::check_batch_is_its_images(sg::EigenSmoothed<sg::FinerCam<>>{{{}, .6, 1}});
  support::check_precision_and_modes(sg::EigenSmoothed<sg::HiResCam>{});
}

TEST_CASE("eigen smoothing of HiResCAM is pytorch-grad-cam's EigenGradCAM, of Grad-CAM that of its weights") {
  if (!support::References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  for (const std::string name : {"tinyresnet", "tinyvgg"}) {
    INFO(name);
    const support::References refs(name);
    const torch::jit::Module script = refs.script();
    const auto smoothed = [&](const support::Entry& stored, const auto& method) {
      return sg::explain(script, refs.input(), stored.text("layer"), method, sg::Target(stored.tensor("targets")));
    };
    const auto is_theirs = [](const support::Entry& stored) {
      // Point 7 of the references' README: there the peer takes the tensor after an in-place activation.
      return stored.text("peer") == "grad-cam 1.5.7" && stored.text("layer") != "layer3.0.bn1";
    };
    int compared = 0;
    for (const support::Entry& stored : refs.cases("EigenGradCAM")) {
      if (!is_theirs(stored)) continue;
      INFO("EigenGradCAM at " << stored.text("layer"));
      const at::Tensor map = smoothed(stored, sg::EigenSmoothed<sg::HiResCam>{}).map(), theirs = stored.tensor("map");
      for (int64_t i = 0; i < map.size(0); ++i) {
        const at::Tensor one = map.slice(0, i, i + 1), other = theirs.slice(0, i, i + 1);
        CHECK(std::min(support::relative_error(one, other.relu()), support::relative_error(one, (-other).relu())) <
              1e-4);
      }
      ++compared;
    }
    for (const support::Entry& stored : refs.cases("GradCAM")) {
      if (!is_theirs(stored)) continue;
      INFO("Grad-CAM at " << stored.text("layer"));
      const at::Tensor map = smoothed(stored, sg::EigenSmoothed<>{}).map();
      for (const support::Entry& layer : refs.layers()) {
        if (layer.text("layer") != stored.text("layer")) continue;
        const at::Tensor weights = stored.tensor("weights");
        const at::Tensor weighted = layer.tensor("activations") * weights.view({weights.size(0), -1, 1, 1});
        for (int64_t i = 0; i < map.size(0); ++i) {
          CHECK(torch::allclose(map[i], projection(weighted[i]), 1e-3, 1e-4 * map[i].max().item<double>()));
        }
        ++compared;
        break;
      }
    }
    CHECK(compared >= 6);
  }
}
