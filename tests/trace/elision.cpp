#include <sightglass/cam/explain.hpp>
#include <sightglass/model/detail/cut_point.hpp>
#include <sightglass/trace/elision.hpp>

#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/random_net.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
namespace nn = torch::nn;
using support::RandomNet;

namespace {

/// The straightforward way: the whole forward, with the layer's output replaced.
at::Tensor in_full(const sg::Model& model, const sg::Layer& layer, const at::Tensor& activations,
                   const at::Tensor& input) {
  const torch::NoGradGuard no_gradients;
  const auto replacement = std::make_shared<sg::detail::Replacement>(layer, activations.clone(), 0);
  const auto watch = model.watch(replacement, layer);
  return model.forward(input);
}

/// The worst difference, relative, of elided runs from full ones at `layer`; and whether they were elided.
std::pair<double, bool> compare(const sg::Model& model, const at::Tensor& x, const sg::Layer& layer) {
  const sg::Pass pass(model, x, {layer}, sg::Tail::again);
  const sg::Cut cut = pass.at(0, sg::Target(1));
  double worst = 0;
  for (const std::vector<int64_t>& chosen : {std::vector<int64_t>{0}, {1, 0, 1}, {0, 1}, {1, 1, 1, 0, 0}}) {
    const at::Tensor rows = torch::tensor(chosen, torch::kLong).remainder(x.size(0));
    at::Tensor changed = cut.activations().index_select(0, rows);
    changed = changed * torch::rand_like(changed);
    const at::Tensor before = changed.clone();
    const at::Tensor scores = cut.scores_with(changed, rows);
    CHECK(changed.equal(before));
    const at::Tensor wanted = in_full(model, layer, changed, x.index_select(0, rows)).select(1, 1);
    const double largest = std::max(1e-6, wanted.abs().max().item<double>());
    worst = std::max(worst, (scores - wanted).abs().max().item<double>() / largest);
  }
  return {worst, pass.elided(0)};
}

}  // namespace

TEST_CASE("elided runs of random networks give what full runs give", "[elision]") {
  int elided = 0, all = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    torch::manual_seed(seed);
    RandomNet net(seed, 3 + seed % 9);
    const at::Tensor x = torch::randn({1 + static_cast<int64_t>(seed % 3), 3, 8, 6});
    for (const auto& item : net->named_children()) {
      if (item.key() == "fc") continue;
      INFO("seed " << seed << ", layer " << item.key());
      const auto [error, was_elided] = compare(net, x, sg::layer(net, item.key()));
      CHECK(error < 1e-5);
      ++all;
      elided += was_elided ? 1 : 0;
    }
  }
  CHECK(all > 80);
  CHECK(elided > all * 3 / 4);
}

TEST_CASE("a run before the cut executes nothing", "[elision]") {
  struct CountingImpl : nn::Module {
    CountingImpl() {
      register_module("conv", conv);
      register_module("last", last);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      ++runs;
      const torch::Tensor y = conv->forward(x);
      seen = y;
      return last->forward(torch::relu(y)).mean(at::IntArrayRef{2, 3});
    }
    nn::Conv2d conv{nn::Conv2dOptions(3, 4, 3)};
    nn::Conv2d last{nn::Conv2dOptions(4, 2, 1)};
    int runs = 0;
    torch::Tensor seen;
  };
  const auto net = std::make_shared<CountingImpl>();
  const at::Tensor x = torch::randn({1, 3, 9, 9});
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->last)}, sg::Tail::again);
  REQUIRE(net->runs <= 2);  // and one on trial, to learn the layer
  const sg::Cut cut = pass.at(0, sg::Target(0));
  REQUIRE(pass.elided(0));
  const int before = net->runs;
  const at::Tensor scores = cut.scores_with(torch::ones({5, 2, 7, 7}), torch::zeros({5}, torch::kLong));
  CHECK(net->runs == before + 1);
  CHECK(torch::allclose(scores, torch::ones({5})));
  // Of what the first convolution made, only the shape was there.
  CHECK(net->seen.sizes() == at::IntArrayRef({5, 4, 7, 7}));
  CHECK(net->seen.storage().nbytes() <= sizeof(float));
}

TEST_CASE("what depends on values of the batch is run in full", "[elision]") {
  struct GatedImpl : nn::Module {
    GatedImpl() {
      register_module("conv", conv);
      register_module("last", last);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor y = conv->forward(x);
      const double gate = y.abs().max().item<double>();
      return last->forward(y * gate).mean(at::IntArrayRef{2, 3});
    }
    nn::Conv2d conv{nn::Conv2dOptions(3, 4, 3)};
    nn::Conv2d last{nn::Conv2dOptions(4, 2, 1)};
  };
  torch::manual_seed(3);
  const auto net = std::make_shared<GatedImpl>();
  const auto [error, elided] = compare(net, torch::randn({2, 3, 6, 6}), sg::Layer(net->last));
  CHECK(error < 1e-5);
  CHECK_FALSE(elided);
}

TEST_CASE("a batch that is not the first dimension is run in full", "[elision]") {
  struct TurnedImpl : nn::Module {
    TurnedImpl() {
      register_module("conv", conv);
      register_module("mix", mix);
      register_module("last", last);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      torch::Tensor y = conv->forward(x).flatten(2).permute({2, 0, 1});  // [P, N, C]
      y = y + mix->forward(y);
      y = y.permute({1, 2, 0}).reshape({x.size(0), 4, 4, 4});
      return last->forward(y).mean(at::IntArrayRef{2, 3});
    }
    nn::Conv2d conv{nn::Conv2dOptions(3, 4, 3)};
    nn::Linear mix{4, 4};
    nn::Conv2d last{nn::Conv2dOptions(4, 2, 1)};
  };
  torch::manual_seed(4);
  const auto net = std::make_shared<TurnedImpl>();
  for (const int64_t batch : {1, 2, 3}) {
    const auto [error, elided] = compare(net, torch::randn({batch, 3, 6, 6}), sg::Layer(net->last));
    CHECK(error < 1e-5);
  }
}

TEST_CASE("TorchScript models are elided too", "[elision]") {
  torch::jit::Module module("net");
  module.register_module("conv", [] {
    torch::jit::Module conv("conv");
    conv.register_parameter("weight", torch::randn({4, 3, 3, 3}), false);
    conv.define("def forward(self, x):\n  return torch.relu_(torch.conv2d(x, self.weight))\n");
    return conv;
  }());
  module.register_module("last", [] {
    torch::jit::Module last("last");
    last.register_parameter("weight", torch::randn({4, 4, 1, 1}), false);
    last.define("def forward(self, x):\n  return torch.conv2d(x, self.weight)\n");
    return last;
  }());
  module.define(
      "def forward(self, x):\n"
      "  y = self.conv.forward(x)\n"
      "  z = self.last.forward(y)\n"
      "  z += y\n"
      "  return torch.relu_(z).view([x.size(0), -1]).view([x.size(0), 4, -1]).mean(2)\n");
  module.eval();
  const auto [error, elided] = compare(module, torch::randn({2, 3, 7, 6}), sg::layer(module, "last"));
  CHECK(error < 1e-5);
  CHECK(elided);
}

TEST_CASE("a pass made without a tape records one when a method asks", "[elision]") {
  support::PaperNet net;
  const sg::Pass pass(sg::Model(net), support::PaperNetImpl::picture(), {sg::Layer(net->features)});
  const sg::Cut cut = pass.at(0, sg::Target(0));
  const at::Tensor scores = cut.scores_with(torch::ones({3, 2, 2, 2}), torch::zeros({3}, torch::kLong));
  CHECK(scores.equal(torch::full({3}, 3.f)));
  CHECK(pass.elided(0));
}
