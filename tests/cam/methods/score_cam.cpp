#include <sightglass/cam/methods/score_cam.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

/// Score-CAM in loops: `score_of(channel, mask)` gives the score of a channel from its mask, enlarged and scaled.
template <class ScoreOf>
at::Tensor score_cam_in_loops(const at::Tensor& a, const std::vector<int64_t>& channels, const ScoreOf& score_of) {
  std::vector<float> scores;
  for (const int64_t k : channels) {
    at::Tensor mask = torch::upsample_bilinear2d(a[k].unsqueeze(0).unsqueeze(0), {8, 6}, false)[0][0];
    mask = mask - mask.min();
    if (mask.max().item<float>() > 0) mask = mask / mask.max();
    scores.push_back(score_of(k, mask));
  }
  double all = 0;
  for (const float score : scores) all += std::exp(score);
  at::Tensor map = torch::zeros({4, 3});
  for (size_t i = 0; i < channels.size(); ++i) map += a[channels[i]] * (std::exp(scores[i]) / all);
  return map.relu();
}

const std::vector<int64_t> all_channels{0, 1, 2, 3, 4};

/// The net, one picture and its activations.
struct Fixture {
  support::SmallNet net = support::small_net();
  at::Tensor x = support::small_pictures(1);
  at::Tensor a = net->features->forward(x).detach()[0];
  float score(const at::Tensor& mask) { return net->forward(x * mask)[0][1].item<float>(); }
  template <class Method>
  at::Tensor map(const Method& method) {
    return sg::explain(net, x, net->features, method, sg::Target(1)).map(0);
  }
};

}  // namespace

TEST_CASE("Score-CAM is the softmax of the scores of masked inputs, in loops") {
  Fixture f;
  const auto score = [&](int64_t, const at::Tensor& mask) { return f.score(mask); };
  CHECK(support::near(f.map(sg::ScoreCam{}), score_cam_in_loops(f.a, all_channels, score)));
}

TEST_CASE("Faster Score-CAM runs the channels of highest variance only") {
  Fixture f;
  const auto variance = [&](int64_t k) { return f.a[k].flatten().var().item<double>(); };
  std::vector<int64_t> order = all_channels;
  std::sort(order.begin(), order.end(), [&](int64_t one, int64_t other) { return variance(one) > variance(other); });
  const auto score = [&](int64_t, const at::Tensor& mask) { return f.score(mask); };
  CHECK(support::near(f.map(sg::ScoreCam{2}), score_cam_in_loops(f.a, {order[0], order[1]}, score)));
  CHECK(f.map(sg::FastScoreCam{2}).equal(f.map(sg::ScoreCam{2})));
  CHECK(f.map(sg::FastScoreCam{}).equal(f.map(sg::ScoreCam{})));  // 32, and the layer has 5
  CHECK_THROWS_WITH(f.map(sg::ScoreCam{6}), ContainsSubstring("channels: got 6, the layer has 5"));
}

TEST_CASE("SS-CAM takes the mean score of noisy masks, IS-CAM that of scaled masks, in loops") {
  Fixture f;
  const auto smooth = [&](int64_t k, const at::Tensor& mask) {
    float sum = 0;
    for (int64_t i = 0; i < 3; ++i) {
      sum += f.score(mask + sg::detail::normal({8, 6}, static_cast<uint64_t>(7 + k * 3 + i)) * .5);
    }
    return sum / 3;
  };
  CHECK(support::near(f.map(sg::SsCam{3, .5, 7}), score_cam_in_loops(f.a, all_channels, smooth)));
  const auto integrated = [&](int64_t, const at::Tensor& mask) {
    return (f.score(mask / 4) + f.score(mask / 2) + f.score(mask * .75) + f.score(mask)) / 4;
  };
  CHECK(support::near(f.map(sg::IsCam{4}), score_cam_in_loops(f.a, all_channels, integrated)));
  CHECK_THROWS_WITH(f.map(sg::SsCam{0}), ContainsSubstring("samples: got 0"));
  CHECK_THROWS_WITH(f.map(sg::IsCam{0}), ContainsSubstring("samples: got 0"));
}

TEST_CASE("Score-CAM does not depend on the order of the channels") {
  PaperNet net, turned;
  const torch::NoGradGuard no_gradients;
  auto& conv = turned->features->at<torch::nn::Conv2dImpl>(0);
  conv.weight.copy_(conv.weight.flip({0}));
  conv.bias.copy_(conv.bias.flip({0}));
  turned->fc->weight.copy_(turned->fc->weight.flip({1}));
  const at::Tensor x = PaperNetImpl::picture();
  for (const int64_t channels : {0, 1}) {
    const at::Tensor map = sg::explain(net, x, net->features, sg::ScoreCam{channels}, sg::Target(0)).map();
    CHECK(map.max().item<double>() > 0);
    CHECK(support::near(sg::explain(turned, x, turned->features, sg::ScoreCam{channels}, sg::Target(0)).map(), map));
  }
}

TEST_CASE("the Score-CAM family: a batch is its images, max_batch and seeds") {
  support::check_batch_is_its_images(sg::ScoreCam{});
  support::check_batch_is_its_images(sg::FastScoreCam{2});
  support::check_batch_is_its_images(sg::SsCam{3});
  support::check_batch_is_its_images(sg::IsCam{3});
  support::check_runs(sg::ScoreCam{});
  support::check_runs(sg::FastScoreCam{3});
  support::check_runs(sg::SsCam{2});
  support::check_runs(sg::IsCam{2});
  support::check_seed(sg::SsCam{2});
}

TEST_CASE("the Score-CAM family keeps to its precision, in inference mode too") {
  support::check_precision_and_modes(sg::ScoreCam{});
  support::check_precision_and_modes(sg::SsCam{2});
  support::check_precision_and_modes(sg::IsCam{2});
}
