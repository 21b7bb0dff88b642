#include <sightglass/sightglass.hpp>

#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::same_on_gpu;
using support::TinyResNet;
using torch::Tensor;

TEST_CASE("every metric gives on a GPU what it gives on the CPU") {
  NEEDS_GPU;
  auto nets = support::evaluated_on_both<TinyResNet>();
  torch::manual_seed(2);
  const Tensor x = torch::randn({2, 3, 48, 48}, torch::kDouble);
  const sg::Target target = sg::Target::softmax(1);
  const auto all = [&](TinyResNet& net, const Tensor& images) {
    const auto explained = sg::explain(net, images, "layer3", sg::GradCam{}, target);
    const auto drop = sg::drop_increase(net, images, explained, target);
    const auto areas = sg::insertion_deletion(net, images, explained, target);
    const auto road = sg::road(net, images, explained, target);
    const auto adcc = sg::adcc(net, images, "layer3", sg::GradCam{}, target);
    sg::PointingGame game;
    for (int64_t i = 0; i < 2; ++i) game.add(explained, i, {4, 4, 30, 40}, 48, 48);
    return std::vector<Tensor>{drop.drop,
                               drop.increase,
                               drop.reference_drop,
                               areas.insertion,
                               areas.deletion,
                               areas.reference_insertion,
                               road.most_relevant_first,
                               road.least_relevant_first,
                               road.reference,
                               adcc.own.adcc(),
                               adcc.reference.adcc(),
                               torch::tensor({game.hit_rate(), game.energy()}, images.options())};
  };
  const std::vector<Tensor> wanted = all(nets.cpu, x), got = all(nets.gpu, x.cuda());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO(i << ":\n" << got[i] << "\nfor\n" << wanted[i]);
    // ROAD removes a share of the pixels: of two that are equal but for rounding, the devices may take either.
    CHECK(same_on_gpu(got[i], wanted[i], i >= 6 && i <= 8 ? 1e-3 : 1e-5));
  }
}

TEST_CASE("cascading randomisation makes a model random on a GPU as on the CPU, and puts it back") {
  NEEDS_GPU;
  auto nets = support::evaluated_on_both<TinyResNet>();
  torch::manual_seed(2);
  const Tensor x = torch::randn({2, 3, 48, 48}, torch::kDouble);
  const auto weights = [&] { return torch::nn::utils::parameters_to_vector(nets.gpu->parameters()).detach(); };
  const Tensor before = weights();
  const auto wanted = sg::cascading_randomisation(nets.cpu, x, "layer3", sg::LayerCam{}, 1);
  const auto got = sg::cascading_randomisation(nets.gpu, x.cuda(), "layer3", sg::LayerCam{}, 1);
  CHECK(got.layers == wanted.layers);
  CHECK(torch::allclose(got.rank_correlation.cpu(), wanted.rank_correlation.cpu(), 1e-4, 1e-6));
  CHECK(torch::allclose(got.structural_similarity.cpu(), wanted.structural_similarity.cpu(), 1e-4, 1e-6));
  CHECK(weights().equal(before));
}
