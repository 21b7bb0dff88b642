#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/finer_cam.hpp>
#include <sightglass/cam/methods/hires_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("Finer-CAM is the method on the score less a share of its likes") {
  // Weights (1 2) - .6 (-1 1) = (1.6 1.4), over 4: A0 (1 2 3 4), A1 (2 1 0 0).
  PaperNet net;
  const sg::FinerCam<> finer{sg::GradCam{}, .6, 1};
  const auto map = sg::explain(net, PaperNetImpl::picture(), net->features, finer, sg::Target(0)).map();
  CHECK(support::near(map, torch::tensor({4.4f, 4.6f, 4.8f, 6.4f}).view({1, 2, 2}) / 4));
}

TEST_CASE("Finer-CAM compares with the classes of the nearest scores") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const at::Tensor scores = net->forward(x).detach()[0];
  for (int64_t own = 0; own < 3; ++own) {
    const int64_t one = (own + 1) % 3, other = (own + 2) % 3;
    const auto distance = [&](int64_t index) { return (scores[index] - scores[own]).abs().item<double>(); };
    const int64_t nearest = distance(one) < distance(other) ? one : other;
    const sg::FinerCam<sg::HiResCam> finer{sg::HiResCam{}, .6, 1};
    CHECK(support::near(
        sg::explain(net, x, net->features, finer, sg::Target(own)).map(),
        sg::explain(net, x, net->features, sg::HiResCam{}, sg::Target::difference(own, {nearest}, .6)).map()));
  }
}

TEST_CASE("Finer-CAM says what it cannot compare") {
  PaperNet net;
  const auto map = [&](int64_t classes, const sg::Target& target) {
    return sg::explain(net, PaperNetImpl::picture(), net->features, sg::FinerCam<>{sg::GradCam{}, .6, classes}, target);
  };
  CHECK_THROWS_WITH(map(0, 0), ContainsSubstring("classes: got 0"));
  CHECK_THROWS_WITH(map(2, 0), ContainsSubstring("classes: got 2 to compare with, the model gives 2"));
  const auto sum = [](const at::Tensor& output) { return output.sum(1); };
  CHECK_THROWS_WITH(map(1, sg::Target(sum)), ContainsSubstring("target is no class"));
}

TEST_CASE("Finer-CAM of a batch is that of its images") {
  support::check_batch_is_its_images(sg::FinerCam<>{sg::GradCam{}, .6, 2});
}

TEST_CASE("Finer-CAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::FinerCam<>{sg::GradCam{}, .6, 2});
}

TEST_CASE("Finer-CAM wraps methods that run the model again") {
  struct NetImpl : torch::nn::Module {
    NetImpl() {
      register_module("conv", conv);
      register_module("fc", fc);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return fc->forward(torch::relu(conv->forward(x)).mean(at::IntArrayRef{2, 3}));
    }
    torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 3, 3)};
    torch::nn::Linear fc{3, 6};
  };
  torch::manual_seed(3);
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 1, 7, 6});
  const at::Tensor output = net->forward(x);
  const at::Tensor map = sg::explain(net, x, net->conv, sg::FinerCam<sg::AblationCam>{{}, 0.5, 2}, sg::Target(1)).map();
  for (int64_t i = 0; i < 2; ++i) {
    const at::Tensor nearest = (output[i] - output[i][1]).abs().argsort();
    const std::vector<int64_t> others{nearest[1].item<int64_t>(), nearest[2].item<int64_t>()};
    const at::Tensor alone =
        sg::explain(net, x.slice(0, i, i + 1), net->conv, sg::AblationCam{}, sg::Target::difference(1, others, 0.5))
            .map();
    CHECK(torch::allclose(map.slice(0, i, i + 1), alone, 1e-4, 1e-5));
  }
}
