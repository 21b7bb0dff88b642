#include <sightglass/cam/methods/occlusion.hpp>
#include <sightglass/hooks/hook_point.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("Occlusion is the fall of the score under a window") {
  // Places give (5 4; 3 4) / 4 to class 0; a covered one gives (0 + 2 * 3) / 4.
  PaperNet net;
  const auto map = [&](const sg::Occlusion& method) {
    return sg::explain(net, PaperNetImpl::picture(), net->features, method, sg::Target(0)).map();
  };
  CHECK(map(sg::Occlusion{1, 1}).equal(torch::tensor({-1.f, -2.f, -3.f, -2.f}).view({1, 2, 2}) / 4));
  CHECK(map(sg::Occlusion{2, 2}).equal(torch::full({1, 2, 2}, -2.f)));
  CHECK(map(sg::Occlusion{32, 16}).equal(torch::full({1, 2, 2}, -2.f)));  // larger than the picture
  CHECK(map(sg::Occlusion{1, 1, 4.0}).equal(torch::tensor({1.f, 0.f, -1.f, 0.f}).view({1, 2, 2}) / 4));
}

TEST_CASE("Occlusion is the loop over windows, averaged where they overlap; the last may stand out") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);  // 8 x 6
  const torch::NoGradGuard no_gradients;
  const double y = net->forward(x)[0][1].item<double>();
  at::Tensor total = torch::zeros({8, 6}), covered = torch::zeros({8, 6});
  for (const int64_t top : {0, 2, 4, 6}) {  // 6 to 9 stands out of 8
    for (const int64_t left : {0, 2, 4}) {
      at::Tensor mask = torch::zeros({8, 6});
      mask.slice(0, top, top + 3).slice(1, left, left + 3).fill_(1);
      const double score = net->forward(x * (1 - mask) + .5 * mask)[0][1].item<double>();
      total += mask * (y - score);
      covered += mask;
    }
  }
  const auto map = sg::explain(net, x, net->features, sg::Occlusion{3, 2, .5}, sg::Target(1)).map(0);
  CHECK(support::near(map, total / covered));
}

TEST_CASE("Occlusion takes one and three spatial dimensions") {
  // score = sum of x: a window of two places takes off their sum.
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).flatten(1).sum(1, true); }
    sg::HookPoint here;
  };
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::tensor({1.f, 2.f, 4.f});
  const at::Tensor wanted = torch::tensor({3.f, 4.5f, 6.f});  // windows 3 and 6
  CHECK(sg::explain(net, x.view({1, 1, 3}), net->here, sg::Occlusion{2, 1}).map().equal(wanted.view({1, 3})));
  CHECK(
      sg::explain(net, x.view({1, 1, 1, 3, 1}), net->here, sg::Occlusion{2, 1}).map().equal(wanted.view({1, 1, 3, 1})));
}

TEST_CASE("Occlusion says which window cannot be, and otherwise keeps to its images and runs") {
  CHECK_THROWS_WITH(support::small_map(sg::Occlusion{0, 1}), ContainsSubstring("window, stride: got 0 and 1"));
  CHECK_THROWS_WITH(support::small_map(sg::Occlusion{2, 0}), ContainsSubstring("window, stride: got 2 and 0"));
  CHECK_THROWS_WITH(support::small_map(sg::Occlusion{2, 3}), ContainsSubstring("stride <= window"));
  support::check_batch_is_its_images(sg::Occlusion{3, 2});
  support::check_runs(sg::Occlusion{3, 2});
}

TEST_CASE("Occlusion keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::Occlusion{3, 2});
}
