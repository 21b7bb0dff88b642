#include <sightglass/hooks/hook_point.hpp>
#include <sightglass/metrics/cascading_randomisation.hpp>

#include <torch/script.h>

#include <cmath>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;

namespace {

/// HiResCAM without its rectifier: signed, and different wherever the model is.
at::Tensor signed_map(const sg::Cut& cut) { return (cut.gradients() * cut.activations()).sum(1); }
/// What the model is does not matter.
at::Tensor input_map(const sg::Cut& cut) { return cut.input().mean(1); }

}  // namespace

TEST_CASE("modules become random from the output to the input, each staying so, and maps are compared") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(2);
  const at::Tensor classes = net->forward(x).argmax(1);
  const at::Tensor original = sg::explain(net, x, net->features, signed_map).map();
  const at::Tensor fc1 = net->fc1->weight.detach().clone(), fc2 = net->fc2->weight.detach().clone();
  std::vector<at::Tensor> wanted;
  std::vector<std::string> changed;
  sg::CascadingRandomisationOptions options;
  options.runs.progress = [&](int64_t done, int64_t all) {
    CHECK(all == 3);
    changed.push_back((net->fc2->weight.equal(fc2) ? "" : "fc2 ") +
                      std::string(net->fc1->weight.equal(fc1) ? "" : "fc1"));
    CHECK(done == static_cast<int64_t>(changed.size()));
    const at::Tensor map = sg::explain(net, x, net->features, signed_map, sg::Target(classes)).map();
    wanted.push_back(sg::rank_correlation(original, map));
    return true;
  };
  const auto found = sg::cascading_randomisation(net, x, "features", signed_map, {}, options);
  CHECK(found.layers == std::vector<std::string>{"fc2", "fc1", "features.0"});
  CHECK(changed == std::vector<std::string>{"fc2 ", "fc2 fc1", "fc2 fc1"});
  CHECK(torch::allclose(found.rank_correlation, torch::stack(wanted)));
  CHECK(found.rank_correlation.lt(.999).all().item<bool>());
  CHECK(found.structural_similarity.sizes() == at::IntArrayRef({3, 2}));
  CHECK(found.structural_similarity.lt(.999).all().item<bool>());
}

TEST_CASE("a method that does not look at the model keeps its maps") {
  support::SmallNet net = support::small_net();
  const auto found = sg::cascading_randomisation(net, support::small_pictures(2), net->features, input_map);
  CHECK(torch::allclose(found.rank_correlation, torch::ones({3, 2}, torch::kDouble)));
  CHECK(torch::allclose(found.structural_similarity, torch::ones({3, 2}, torch::kDouble)));
}

TEST_CASE("the model is what it was afterwards, also when stopped half way, and the random state too") {
  support::SmallNet net = support::small_net();
  const at::Tensor x = support::small_pictures(1);
  const support::Snapshot before(*net);
  const auto first = sg::cascading_randomisation(net, x, net->features, signed_map);
  CHECK(before.difference(support::Snapshot(*net)).empty());
  CHECK(sg::cascading_randomisation(net, x, net->features, signed_map).rank_correlation.equal(first.rank_correlation));
  sg::CascadingRandomisationOptions options;
  options.runs.progress = [](int64_t done, int64_t) { return done < 2; };
  CHECK_THROWS_AS(sg::cascading_randomisation(net, x, net->features, signed_map, {}, options), sg::Cancelled);
  CHECK(before.difference(support::Snapshot(*net)).empty());
  options.runs.progress = nullptr;
  options.seed = 1;
  CHECK_FALSE(sg::cascading_randomisation(net, x, net->features, signed_map, {}, options)
                  .rank_correlation.equal(first.rank_correlation));
}

TEST_CASE("the reference is the map with its values at random places: mean 0, deviation 1 / sqrt(places - 1)") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : here(register_module("here", sg::HookPoint())), fc(register_module("fc", torch::nn::Linear(1, 2))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return fc->forward(here->forward(x).mean(at::IntArrayRef{2, 3})); }
    sg::HookPoint here;
    torch::nn::Linear fc;
  };
  torch::manual_seed(1);
  sg::CascadingRandomisationOptions options;
  options.draws = 400;
  const auto found = sg::cascading_randomisation(std::make_shared<NetImpl>(), torch::rand({1, 1, 11, 20}), "here",
                                                 input_map, {}, options);
  const double deviation = 1 / std::sqrt(219.0);
  REQUIRE(found.reference_rank_correlation.sizes() == at::IntArrayRef({400, 1}));
  CHECK(found.reference_rank_correlation.mean().item<double>() == Approx(0).margin(5 * deviation / 20));
  CHECK(found.reference_rank_correlation.std().item<double>() == Approx(deviation).epsilon(.2));
  CHECK(std::abs(found.reference_structural_similarity.mean().item<double>()) < .2);
}

TEST_CASE("a TorchScript model is taken as well, and stays as it was") {
  torch::manual_seed(2);
  torch::jit::Module conv("Conv");
  conv.register_parameter("weight", torch::randn({4, 2, 3, 3}), false);
  conv.define("def forward(self, x):\n  return torch.relu(torch.conv2d(x, self.weight))\n");
  torch::jit::Module net("Net");
  net.register_module("conv", conv);
  net.register_parameter("weight", torch::randn({3, 4}), false);
  net.define("def forward(self, x):\n  return torch.linear(torch.mean(self.conv.forward(x), [2, 3]), self.weight)\n");
  net.eval();
  const at::Tensor x = torch::randn({2, 2, 9, 9});
  const at::Tensor before = net.forward({x}).toTensor();
  const auto found = sg::cascading_randomisation(net, x, "conv", signed_map);
  CHECK(found.layers.size() == 2);
  CHECK(found.rank_correlation.lt(.999).all().item<bool>());
  CHECK(net.forward({x}).toTensor().equal(before));
}

TEST_CASE("maps of signals are compared by rank alone, and a reference without draws is an error") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : conv(register_module("conv", torch::nn::Conv1d(1, 2, 3))) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).mean(2); }
    torch::nn::Conv1d conv;
  };
  const auto net = std::make_shared<NetImpl>();
  const auto found = sg::cascading_randomisation(net, torch::rand({1, 1, 30}), "conv", signed_map);
  CHECK(found.rank_correlation.sizes() == at::IntArrayRef({1, 1}));
  CHECK_FALSE(found.structural_similarity.defined());
  sg::CascadingRandomisationOptions options;
  options.draws = 0;
  CHECK_THROWS_WITH(sg::cascading_randomisation(net, torch::rand({1, 1, 30}), "conv", signed_map, {}, options),
                    ContainsSubstring("draws: got 0"));
}
