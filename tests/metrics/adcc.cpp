#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/hooks/hook_point.hpp>
#include <sightglass/metrics/adcc.hpp>

#include <cmath>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

namespace {

/// As many scores as pixels: the pixels.
struct PixelsImpl : torch::nn::Module {
  PixelsImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
  torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).flatten(1); }
  sg::HookPoint here;
};

/// One score: the sum of the pixels.
struct SumImpl : torch::nn::Module {
  SumImpl() : here(register_module("here", sg::HookPoint())) { eval(); }
  torch::Tensor forward(const torch::Tensor& x) { return here->forward(x).flatten(1).sum(1, true); }
  sg::HookPoint here;
};

/// The map is the layer itself.
at::Tensor itself(const sg::Cut& cut) { return cut.activations().squeeze(1); }
/// And the other way round.
at::Tensor opposite(const sg::Cut& cut) { return -cut.activations().squeeze(1); }

}  // namespace

TEST_CASE("ADCC and its three parts, by hand") {
  const auto net = std::make_shared<SumImpl>();
  // The map (0 .25 .5 1) leaves (0 .25 1 4) of the input, which is the second map: the sum 7 becomes 5.25.
  const at::Tensor x = torch::tensor({0.f, 1.f, 2.f, 4.f}).view({1, 1, 2, 2});
  const sg::AdccScores found = sg::adcc(net, x, "here", itself).own;
  const double coherency = (1 + 2.265625 / std::sqrt(.546875 * 10.171875)) / 2;
  CHECK(found.coherency.item<float>() == Approx(coherency));
  CHECK(found.complexity.item<float>() == Approx(1.75 / 4));
  CHECK(found.drop.item<float>() == Approx(.25));
  CHECK(found.adcc().item<float>() == Approx(3 / (1 / coherency + 1 / (1 - 1.75 / 4) + 1 / .75)));
}

TEST_CASE("the masked input is explained and scored for the input's prediction, not for its own") {
  const auto net = std::make_shared<PixelsImpl>();
  // The prediction is class 2; the map (1 .25 0 .5) leaves nothing of it.
  const at::Tensor x = torch::tensor({0.f, 3.f, 4.f, 2.f}).view({1, 1, 2, 2});
  std::vector<int64_t> explained;
  const auto method = [&](const sg::Cut& cut) {
    explained.push_back(cut.classes().item<int64_t>());
    return opposite(cut);
  };
  const sg::Adcc found = sg::adcc(net, x, net->here, method);
  CHECK(explained == std::vector<int64_t>{2, 2, 2});
  CHECK(found.own.drop.item<float>() == 1.f);
  CHECK(found.own.adcc().item<float>() == 0.f);
}

TEST_CASE("drop is of the confidence where one is given") {
  const auto net = std::make_shared<PixelsImpl>();
  const at::Tensor x = torch::tensor({0.f, 1.f, 2.f, 4.f}).view({1, 1, 2, 2});
  sg::AdccOptions options;
  options.confidence = sg::Target::softmax(3);
  const double before = x.flatten().softmax(0)[3].item<double>();
  const double after = torch::tensor({0.f, .25f, 1.f, 4.f}).softmax(0)[3].item<double>();
  REQUIRE(after > before);  // the others fell more
  CHECK(sg::adcc(net, x, net->here, itself, {}, options).own.drop.item<float>() == 0.f);
  options.confidence = sg::Target::softmax(2);
  const double second = x.flatten().softmax(0)[2].item<double>();
  const double left = torch::tensor({0.f, .25f, 1.f, 4.f}).softmax(0)[2].item<double>();
  CHECK(sg::adcc(net, x, net->here, itself, {}, options).own.drop.item<float>() == Approx(1 - left / second));
}

TEST_CASE("the reference has the same values at random places, and does worse where the map is the object") {
  const auto net = std::make_shared<SumImpl>();
  torch::manual_seed(1);
  at::Tensor x = torch::rand({2, 1, 8, 8}) * .1;
  x.slice(2, 2, 5).slice(3, 1, 5) += 1;
  const sg::Adcc found = sg::adcc(net, x, net->here, itself);
  CHECK(torch::allclose(found.reference.complexity, found.own.complexity));
  CHECK(found.reference.drop.gt(found.own.drop).all().item<bool>());
  CHECK(found.reference.coherency.lt(found.own.coherency).all().item<bool>());
  CHECK(found.own.adcc().gt(found.reference.adcc()).all().item<bool>());
}

TEST_CASE("a constant map has the coherency of no correlation, and nothing is NaN") {
  const auto net = std::make_shared<SumImpl>();
  const sg::AdccScores found = sg::adcc(net, torch::ones({1, 1, 2, 2}), net->here, itself).own;
  CHECK(found.coherency.item<float>() == .5f);
  CHECK(found.adcc().item<float>() == 0.f);  // all of the score is gone
}

TEST_CASE("ADCC of a batch is that of its images, whatever the size of a run; progress may stop it") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(3);
  sg::AdccOptions options;
  options.runs.max_batch = 2;
  int64_t last = 0, whole = -1;
  options.runs.progress = [&](int64_t done, int64_t all) {
    last = done;
    whole = all;
    return true;
  };
  const sg::Adcc together = sg::adcc(net, x, net->features, sg::GradCam{}, {}, options);
  CHECK(last == 9);
  CHECK(whole == 9);
  for (int64_t i = 0; i < 3; ++i) {
    const sg::Adcc alone = sg::adcc(net, x.slice(0, i, i + 1), net->features, sg::GradCam{});
    CHECK(support::near(alone.own.adcc(), together.own.adcc().slice(0, i, i + 1)));
    CHECK(support::near(alone.reference.coherency, together.reference.coherency.slice(0, i, i + 1)));
  }
  options.runs.progress = [](int64_t done, int64_t) { return done < 4; };
  CHECK_THROWS_AS(sg::adcc(net, x, net->features, sg::GradCam{}, {}, options), sg::Cancelled);
}
