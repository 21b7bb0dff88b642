#include <sightglass/sightglass.hpp>

#include <vector>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("the methods of docs/choosing-a-method.md are compared on one pass") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});

  sg::Pass pass(net, input, {net->layer4}, sg::Tail::again);  // again: what lies behind layer4 can be run again cheaply
  sg::Explanation quick = pass.explain(0, sg::GradCam{}, 281);
  sg::Explanation exact = pass.explain(0, sg::HiResCam{}, 281);
  sg::Explanation tried = pass.explain(0, sg::AblationCam{}, 281);  // no gradients
  sg::Explanation chance = pass.explain(0, sg::RandomCam{}, 281);   // a control: a method must do better

  CHECK(pass.elided(0));
  for (const sg::Explanation& each : {quick, exact, tried, chance})
    CHECK(each.map().sizes() == at::IntArrayRef({1, 2, 2}));
}

TEST_CASE("the wrappers of docs/choosing-a-method.md take any method") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});
  const sg::Pass pass(net, input, {net->layer4});

  pass.explain(0, sg::Smoothed<sg::LayerCam>{});      // mean over mirrored and stronger inputs
  pass.explain(0, sg::EigenSmoothed<sg::GradCam>{});  // first principal component of what the channels bring
  pass.explain(0, sg::FinerCam<sg::GradCam>{});       // what tells the class from those it is confused with
  pass.explain(0, sg::ScoreCam{64, {8}});             // the 64 channels of most variance, eight images a run

  CHECK(pass.explain(0, sg::FinerCam<sg::GradCam>{}).map().sizes() == at::IntArrayRef({1, 2, 2}));
}

TEST_CASE("a long run of docs/choosing-a-method.md tells its progress and stops") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 32, 32});
  int told = 0;
  const auto show = [&](int64_t, int64_t) { return ++told < 3; };

  sg::Rise rise;
  rise.samples = 400;
  rise.runs.max_batch = 16;
  rise.runs.progress = [&](int64_t done, int64_t all) {
    return show(done, all);
  };  // false stops; the map is of what was run
  sg::Explanation map = sg::explain(net, input, net->layer4, rise, sg::Target::softmax(281));

  CHECK(told == 3);
  CHECK(map.map().sizes() == at::IntArrayRef({1, 32, 32}));
}
