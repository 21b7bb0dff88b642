#include <sightglass/cam/methods/random_cam.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

TEST_CASE("Random-CAM's weights are uniform in [-1, 1]") {
  // Channel k is 1 at place k alone, so the map is the rectified weights.
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).sum(2); }
    sg::HookPoint here;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor map = sg::explain(net, torch::eye(1000).unsqueeze(0), net->here, sg::RandomCam{}).map(0);
  CHECK(map.max().item<double>() <= 1);
  CHECK(map.max().item<double>() > .9);
  CHECK(map.gt(0).sum().item<double>() == Approx(500).margin(80));  // five deviations
  CHECK(map.sum().item<double>() == Approx(250).margin(60));
}

TEST_CASE("Random-CAM is the same for the same seed, and for an image in a batch and alone") {
  support::check_seed(sg::RandomCam{3});
  support::check_batch_is_its_images(sg::RandomCam{});
}
