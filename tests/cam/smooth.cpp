#include <sightglass/cam/methods/hires_cam.hpp>
#include <sightglass/cam/smooth.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("a picture that is its own mirror image is smoothed to a map that is its own") {
  support::SmallNet net = support::small_net();
  const at::Tensor half = support::small_pictures(1).slice(3, 0, 3);
  const at::Tensor x = torch::cat({half, half.flip({3})}, 3);
  const sg::Smoothed<> method{sg::GradCam{}, {1.0}};
  const at::Tensor map = sg::explain(net, x, net->features, method, sg::Target(1)).map();
  const at::Tensor plain = sg::explain(net, x, net->features, sg::GradCam{}, sg::Target(1)).map();
  CHECK(map.max().item<double>() > 0);
  CHECK(support::near(map, map.flip({2})));
  CHECK(support::near(map, (plain + plain.flip({2})) / 2));
}

TEST_CASE("Smoothed is the mean over strengths, computed on paper") {
  // The net sees places alone, so mirroring changes nothing. The picture gives (5 4; 3 4) / 4, twice as strong
  // A0 = (2 4; 6 8) and A1 = (1 0; 0 0), so (4 4; 6 8) / 4.
  PaperNet net;
  const auto map = [&](const std::vector<double>& strengths) {
    const sg::Smoothed<> method{sg::GradCam{}, strengths};
    return sg::explain(net, PaperNetImpl::picture(), net->features, method, sg::Target(0)).map();
  };
  CHECK(support::near(map({1}), torch::tensor({5.f, 4.f, 3.f, 4.f}).view({1, 2, 2}) / 4));
  CHECK(support::near(map({1, 2}), torch::tensor({9.f, 8.f, 9.f, 12.f}).view({1, 2, 2}) / 8));
  CHECK_THROWS_WITH(map({}), ContainsSubstring("strengths: got none"));
}

TEST_CASE("Smoothed wraps any method and mirrors its maps back, in a loop") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(2);
  const auto plain = [&](const at::Tensor& input) {
    return sg::explain(net, input, net->features, sg::HiResCam{}, sg::Target(1)).map();
  };
  at::Tensor sum = torch::zeros({2, 4, 3});
  for (const double strength : {.9, 1., 1.1}) sum += plain(x * strength) + plain(x.flip({3}) * strength).flip({2});
  const auto map = sg::explain(net, x, net->features, sg::Smoothed<sg::HiResCam>{}, sg::Target(1)).map();
  CHECK(support::near(map, sum / 6));
}

TEST_CASE("Smoothed explains the class that the picture itself is taken for, whatever the changed ones are taken for") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(8);
  const at::Tensor classes = net->forward(x).argmax(1);
  REQUIRE_FALSE(net->forward(-x).argmax(1).equal(classes));
  const sg::Smoothed<> method{sg::GradCam{}, {-1.0}};
  const at::Tensor predicted = sg::explain(net, x, net->features, method).map();
  CHECK(predicted.equal(sg::explain(net, x, net->features, method, sg::Target(classes)).map()));
  support::check_batch_is_its_images(sg::Smoothed<>{});
}
