#include <sightglass/sightglass.hpp>

#include <iostream>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "scratch.hpp"

namespace sg = sightglass;

TEST_CASE("the pointing game of docs/metrics.md counts pictures, beside its chance level") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 64, 64});
  const docs::Printed printed;

  sg::Explanation map = sg::explain(net, input, net->layer4, sg::GradCam{}, 281);
  sg::PointingGame game;
  game.add(map, 0, sg::Box{10, 10, 50, 40}, 64, 64);  // image 0; x, y, x, y of its object; the picture's height, width
  std::cout << game.hit_rate() << " of peaks in the box, by chance " << game.chance() << '\n';

  CHECK(game.chance() == Approx(40. * 30 / (64 * 64)));
  CHECK(game.count() == 1);
}

TEST_CASE("the metrics of docs/metrics.md stand beside their references") {
  support::ResNet18 net(8, 300);
  net->eval();
  const torch::Tensor input = torch::randn({1, 3, 32, 32});
  sg::Explanation map = sg::explain(net, input, net->layer3, sg::GradCam{}, 281);

  sg::Target probability = sg::Target::softmax(281);
  sg::DropIncrease masked = sg::drop_increase(net, input, map, probability);
  sg::InsertionDeletion curves = sg::insertion_deletion(net, input, map, probability);
  sg::Road removed = sg::road(net, input, map, probability);
  sg::Adcc three_in_one = sg::adcc(net, input, net->layer3, sg::GradCam{}, 281);
  sg::CascadingRandomisation sane = sg::cascading_randomisation(net, input, net->layer3, sg::GradCam{}, 281);

  CHECK(removed.combined().sizes() == at::IntArrayRef({1}));
  CHECK(masked.drop.ge(0).all().item<bool>());
  CHECK(curves.insertion.sizes() == at::IntArrayRef({1}));
  CHECK(three_in_one.own.adcc().sizes() == at::IntArrayRef({1}));
  CHECK(sane.rank_correlation.size(1) == 1);
}
