#include <sightglass/metrics/road.hpp>

#include <cmath>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;
using support::maps_of;
using support::SumOfPixelsImpl;

namespace {

at::Tensor pictures(int64_t count) {
  torch::manual_seed(5);
  return torch::rand({count, 2, 6, 5});
}

}  // namespace

TEST_CASE("ROAD scores the input with the most, and the least relevant pixels filled from the rest") {
  const auto net = std::make_shared<SumOfPixelsImpl>(2);
  const at::Tensor x = pictures(1);
  const at::Tensor relevance = x.sum(1);
  sg::RoadOptions options;
  options.percentiles = {10, 50};  // 3 and 15 of 30 pixels
  options.noise = 0;
  const sg::Road found = sg::road(net, x, maps_of(relevance), sg::Target(0), options);
  const at::Tensor order = std::get<1>(relevance.flatten().sort(0, true));
  const auto without = [&](const at::Tensor& places) {
    const at::Tensor removed = torch::zeros({30}, torch::kBool).index_fill(0, places, 1).view({1, 1, 6, 5});
    return sg::linear_imputation(x, removed).sum().item<float>();
  };
  REQUIRE(found.most_relevant_first.sizes() == at::IntArrayRef({1, 2}));
  CHECK(found.most_relevant_first[0][0].item<float>() == Approx(without(order.slice(0, 0, 3))));
  CHECK(found.most_relevant_first[0][1].item<float>() == Approx(without(order.slice(0, 0, 15))));
  CHECK(found.least_relevant_first[0][0].item<float>() == Approx(without(order.slice(0, 27, 30))));
  CHECK(found.least_relevant_first[0][1].item<float>() == Approx(without(order.slice(0, 15, 30))));
}

TEST_CASE("ROAD's combination is half the mean distance of the two curves") {
  sg::Road curves;
  curves.most_relevant_first = torch::tensor({.5f, .1f}).view({1, 2});
  curves.least_relevant_first = torch::tensor({.9f, .6f}).view({1, 2});
  CHECK(curves.combined().item<float>() == Approx((.4 + .5) / 2 / 2));
}

TEST_CASE("random order lies between the least and the most relevant first, where the map is the score") {
  const auto net = std::make_shared<SumOfPixelsImpl>(2);
  const at::Tensor x = pictures(3);
  const sg::Road found = sg::road(net, x, maps_of(x.sum(1)), sg::Target(0));
  const at::Tensor reference = found.reference.mean(1);
  CHECK(found.most_relevant_first.mean(1).lt(reference).all().item<bool>());
  CHECK(found.least_relevant_first.mean(1).gt(reference).all().item<bool>());
  CHECK(found.combined().gt(0).all().item<bool>());
}

TEST_CASE("ROAD's noise is added to filled pixels alone, the same for the same seed") {
  struct FirstPixelImpl : torch::nn::Module {
    torch::Tensor forward(const torch::Tensor& x) { return x.select(3, 0).select(2, 0); }  // two scores, one a channel
  };
  const auto net = std::make_shared<FirstPixelImpl>();
  net->eval();
  const at::Tensor x = torch::ones({1, 2, 4, 4});
  at::Tensor map = torch::zeros({1, 4, 4});
  map[0][0][0] = 1;  // the first to go, the last to stay
  sg::RoadOptions options;
  options.percentiles = {25};
  options.noise = 10;
  const sg::Road found = sg::road(net, x, maps_of(map), sg::Target(0), options);
  CHECK(std::abs(found.most_relevant_first.item<float>() - 1) > 1e-3f);
  CHECK(found.least_relevant_first.item<float>() == 1.f);
  CHECK(sg::road(net, x, maps_of(map), sg::Target(0), options).most_relevant_first.equal(found.most_relevant_first));
  options.seed = 1;
  CHECK_FALSE(
      sg::road(net, x, maps_of(map), sg::Target(0), options).most_relevant_first.equal(found.most_relevant_first));
}

TEST_CASE("ROAD of a batch is that of its images alone, whatever the size of a run, and tells its progress") {
  const auto net = std::make_shared<SumOfPixelsImpl>(2);
  const at::Tensor x = pictures(2);
  torch::manual_seed(6);
  const at::Tensor maps = torch::rand({2, 3, 3});
  sg::RoadOptions options;
  options.runs.max_batch = 5;
  int64_t last = 0, whole = -1;
  options.runs.progress = [&](int64_t done, int64_t all) {
    last = done;
    whole = all;
    return true;
  };
  const sg::Road together = sg::road(net, x, maps_of(maps), sg::Target(0), options);
  CHECK(last == 2 * 3 * 4);
  CHECK(whole == last);
  for (int64_t i = 0; i < 2; ++i) {
    const sg::Road alone = sg::road(net, x.slice(0, i, i + 1), maps_of(maps.slice(0, i, i + 1)), sg::Target(0));
    CHECK(torch::allclose(alone.most_relevant_first, together.most_relevant_first.slice(0, i, i + 1), 1e-3));
    CHECK(torch::allclose(alone.least_relevant_first, together.least_relevant_first.slice(0, i, i + 1), 1e-3));
    CHECK(torch::allclose(alone.reference, together.reference.slice(0, i, i + 1), 1e-3));
  }
  options.runs.progress = [](int64_t, int64_t) { return false; };
  CHECK_THROWS_AS(sg::road(net, x, maps_of(maps), sg::Target(0), options), sg::Cancelled);
}

TEST_CASE("ROAD refuses percentiles that leave no pixel, another batch, and what is no picture") {
  const auto net = std::make_shared<SumOfPixelsImpl>(2);
  const at::Tensor x = pictures(2);
  sg::RoadOptions options;
  options.percentiles = {20, 100};
  CHECK_THROWS_WITH(sg::road(net, x, maps_of(x.sum(1)), sg::Target(0), options),
                    ContainsSubstring("percentiles: got 100"));
  options.percentiles = {};
  CHECK_THROWS_WITH(sg::road(net, x, maps_of(x.sum(1)), sg::Target(0), options),
                    ContainsSubstring("percentiles: got none"));
  CHECK_THROWS_WITH(sg::road(net, x, maps_of(torch::rand({1, 6, 5}))), ContainsSubstring("got one of 1 images"));
  CHECK_THROWS_WITH(sg::road(net, x[0], maps_of(torch::rand({2, 6, 5}))), ContainsSubstring("[N, C, H, W]"));
}
