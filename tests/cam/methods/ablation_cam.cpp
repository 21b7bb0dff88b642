#include <sightglass/cam/methods/ablation_cam.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("Ablation-CAM weighs each channel by the share of the score that goes without it") {
  // Class 0: score 4; without A0 1.5, without A1 2.5: weights 2.5 / 4 and 1.5 / 4.
  // Class 1: score -1.75; without A0 .75, without A1 -2.5: weights 10 / 7 and -3 / 7.
  PaperNet net;
  const auto map = [&](int64_t index) {
    return sg::explain(net, PaperNetImpl::picture(), net->features, sg::AblationCam{}, sg::Target(index)).map();
  };
  CHECK(support::near(map(0), torch::tensor({1.375f, 1.625f, 1.875f, 2.5f}).view({1, 2, 2})));
  CHECK(support::near(map(1), torch::tensor({4.f, 17.f, 30.f, 40.f}).view({1, 2, 2}) / 7));
}

TEST_CASE("Ablation-CAM gives a channel that is not used no weight, and all none where the score is 0") {
  PaperNet net;
  const torch::NoGradGuard no_gradients;
  net->fc->weight.copy_(torch::tensor({{5.f, 0.f}, {0.f, 0.f}}));
  const at::Tensor x = PaperNetImpl::picture();
  CHECK(support::near(sg::explain(net, x, net->features, sg::AblationCam{}, sg::Target(0)).map(), x[0]));
  CHECK(sg::explain(net, x, net->features, sg::AblationCam{}, sg::Target(1)).map().equal(torch::zeros({1, 2, 2})));
}

TEST_CASE("Ablation-CAM is the loop over channels") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const torch::NoGradGuard no_gradients;
  const at::Tensor a = net->features->forward(x);
  const double y = net->head(a)[0][1].item<double>();
  at::Tensor wanted = torch::zeros({1, 4, 3});
  for (int64_t k = 0; k < 5; ++k) {
    at::Tensor without = a.clone();
    without.select(1, k).zero_();
    wanted += a.select(1, k) * ((y - net->head(without)[0][1].item<double>()) / y);
  }
  CHECK(support::near(sg::explain(net, x, net->features, sg::AblationCam{}, sg::Target(1)).map(), wanted.relu()));
}

namespace {

/// Ends in a view of its activations; may write on them before.
struct ViewingNetImpl : torch::nn::Module {
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(3, 6, 3)};
  bool writes;
  explicit ViewingNetImpl(bool writes_) : writes(writes_) { register_module("conv", conv); }
  at::Tensor forward(const at::Tensor& x) {
    const at::Tensor y = conv->forward(x);
    return (writes ? y.mul_(2) : y).flatten(1);
  }
};
TORCH_MODULE(ViewingNet);

/// The target is the first value of channel 2: only that channel weighs, whatever `max_batch` cuts the runs into.
void check_only_its_channel_weighs(ViewingNet net) {
  net->eval();
  const at::Tensor x = torch::randn({2, 3, 5, 4});
  const torch::NoGradGuard no_gradients;
  const at::Tensor channel = net->conv->forward(x).select(1, 2);
  for (const int64_t max_batch : {1, 4, 6, 0}) {
    const auto map =
        sg::explain(net, x, net->conv, sg::AblationCam{{max_batch, {}}}, sg::Target(int64_t{2 * 3 * 2})).map();
    CHECK(support::near(map, channel.relu()));
  }
}

}  // namespace

TEST_CASE("Ablation-CAM is not misled by a model that writes on its activations or returns them") {
  torch::manual_seed(1);
  check_only_its_channel_weighs(ViewingNet(true));
  check_only_its_channel_weighs(ViewingNet(false));
}

TEST_CASE("Ablation-CAM: a batch is its images, max_batch, progress") {
  support::check_batch_is_its_images(sg::AblationCam{});
  support::check_runs(sg::AblationCam{});
}

TEST_CASE("Ablation-CAM keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::AblationCam{});
}
