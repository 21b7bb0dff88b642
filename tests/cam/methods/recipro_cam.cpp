#include <sightglass/cam/methods/recipro_cam.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include <algorithm>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("ReciproCAM is the score of one place and its neighbourhood") {
  // The score of class 0 is the sum over places of (5 4; 3 4) / 4.
  PaperNet net;
  const auto map = [&](sg::Neighbourhood neighbourhood) {
    const sg::ReciproCam method{neighbourhood};
    return sg::explain(net, PaperNetImpl::picture(), net->features, method, sg::Target(0)).map();
  };
  CHECK(map(sg::Neighbourhood::none).equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  // 5/4 + 4/8 + 3/8 + 4/16 = 2.375 at the first place, and so on.
  CHECK(support::near(map(sg::Neighbourhood::gaussian),
                      torch::tensor({2.375f, 2.3125f, 2.125f, 2.1875f}).view({1, 2, 2}) / 4));
}

TEST_CASE("ReciproCAM takes one and three spatial dimensions") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).square().flatten(1).sum(1, true); }
    sg::HookPoint here;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::tensor({1.f, 2.f, 3.f});
  // Masked (.5 .5 0), (.25 1 .75), (0 .5 1.5), squared and summed.
  const at::Tensor line = sg::explain(net, x.view({1, 1, 3}), net->here, sg::ReciproCam{}).map();
  CHECK(line.equal(torch::tensor({{.5f, 1.625f, 2.5f}})));
  const sg::ReciproCam alone{sg::Neighbourhood::none};
  const at::Tensor volume = sg::explain(net, x.view({1, 1, 1, 3, 1}), net->here, alone).map();
  CHECK(volume.equal(torch::tensor({1.f, 4.f, 9.f}).view({1, 1, 3, 1})));
}

TEST_CASE("ReciproCAM is the loop over places") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const torch::NoGradGuard no_gradients;
  const at::Tensor a = net->features->forward(x);
  at::Tensor wanted = torch::zeros({1, 4, 3});
  for (int64_t row = 0; row < 4; ++row) {
    for (int64_t column = 0; column < 3; ++column) {
      at::Tensor mask = torch::zeros({4, 3});
      for (int64_t i = std::max<int64_t>(0, row - 1); i <= std::min<int64_t>(3, row + 1); ++i) {
        for (int64_t j = std::max<int64_t>(0, column - 1); j <= std::min<int64_t>(2, column + 1); ++j) {
          mask[i][j] = (i == row ? .5 : .25) * (j == column ? .5 : .25);
        }
      }
      wanted[0][row][column] = net->head(a * mask)[0][1];
    }
  }
  CHECK(support::near(sg::explain(net, x, net->features, sg::ReciproCam{}, sg::Target(1)).map(), wanted));
}

TEST_CASE("ReciproCAM: a batch is its images, max_batch, progress") {
  support::check_batch_is_its_images(sg::ReciproCam{});
  support::check_runs(sg::ReciproCam{});
}

TEST_CASE("ReciproCAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::ReciproCam{});
}
