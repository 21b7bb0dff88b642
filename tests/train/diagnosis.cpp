#include "sightglass/train/diagnosis.hpp"

#include "sightglass/train/activation_stats.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
namespace nn = torch::nn;
using torch::Tensor;

namespace {

/// Kaiming's initialisation, scaled.
void initialise(nn::Sequential& net, double scale) {
  const torch::NoGradGuard no_gradients;
  for (const auto& module : net->modules(false)) {
    for (Tensor& parameter : module->parameters(false)) {
      parameter.dim() > 1 ? nn::init::kaiming_normal_(parameter).mul_(scale) : parameter.zero_();
    }
  }
}

/// Trains on points in two classes; every second batch is recorded.
std::vector<sg::Finding> findings(nn::Sequential& net, double rate, int steps = 40) {
  torch::optim::SGD optimiser(net->parameters(), rate);
  sg::ActivationStats stats(net,
                            sg::ActivationStatsOptions().every(2).also(sg::Also::gradients).also(sg::Also::updates));
  const auto fit = stats.fit();
  for (int i = 0; i < steps; ++i) {
    const Tensor x = torch::randn({32, 8});
    const Tensor y = (x.select(1, 0) + x.select(1, 1) > 0).to(torch::kLong);
    const auto batch = fit.batch();
    optimiser.zero_grad();
    torch::cross_entropy_loss(net->forward(x), y).backward();
    optimiser.step();
  }
  return sg::diagnose(stats);
}

template <class Activation>
nn::Sequential deep(int layers, double scale, const Activation& activation) {
  torch::manual_seed(1);
  nn::Sequential net(nn::Linear(8, 16), activation);
  for (int i = 0; i < layers; ++i) {
    net->push_back(nn::Linear(16, 16));
    net->push_back(activation);
  }
  net->push_back(nn::Linear(16, 2));
  initialise(net, scale);
  return net;
}

std::string text(const std::vector<sg::Finding>& all) {
  std::string lines;
  for (const sg::Finding& finding : all) lines += finding.text + "\n";
  return lines;
}

bool has(const std::vector<sg::Finding>& all, sg::Warning kind) {
  return std::any_of(all.begin(), all.end(), [&](const sg::Finding& finding) { return finding.kind == kind; });
}

/// A history of one layer and another behind it, both with the same figure.
sg::StatsHistory history(sg::Figure figure, const std::vector<float>& values) {
  sg::StatsHistory all;
  int64_t batch = 0;
  for (const float value : values) {
    sg::BatchRecord record{batch += 10, {{}, {}}};
    record.layers[0].name = "first";
    record.layers[1].name = "last";
    for (sg::LayerRecord& layer : record.layers) {
      layer[sg::Figure::mean] = 0.F;
      layer[sg::Figure::std] = 1.F;
      layer[sg::Figure::near_zero] = 0.5F;
      layer[figure] = value;
    }
    all.append(record);
  }
  return all;
}

}  // namespace

TEST_CASE("healthy networks give no warning", "[diagnosis]") {
  nn::Sequential relu = deep(2, 1, nn::ReLU());
  CHECK(text(findings(relu, 0.05)).empty());
  nn::Sequential tanh = deep(2, 0.7, nn::Tanh());
  CHECK(text(findings(tanh, 0.05)).empty());
  torch::manual_seed(2);
  nn::Sequential normalised(nn::Linear(8, 16), nn::BatchNorm1d(16), nn::ReLU(), nn::Linear(16, 2));
  CHECK(text(findings(normalised, 0.05)).empty());
}

TEST_CASE("a learning rate that is too high is recognised", "[diagnosis]") {
  nn::Sequential net = deep(2, 1, nn::ReLU());
  const auto all = findings(net, 1e3);
  INFO(text(all));
  CHECK((has(all, sg::Warning::not_finite) || has(all, sg::Warning::dead_layer) ||
         has(all, sg::Warning::exploding_activations)));
  nn::Sequential first_steps = deep(2, 1, nn::ReLU());
  const auto early = findings(first_steps, 10, 1);
  INFO(text(early));
  CHECK(has(early, sg::Warning::large_update));
}

TEST_CASE("a wrong initialisation is recognised", "[diagnosis]") {
  nn::Sequential large = deep(4, 6, nn::ReLU());
  CHECK(has(findings(large, 0, 2), sg::Warning::exploding_activations));
  nn::Sequential small = deep(4, 0.05, nn::ReLU());
  CHECK(has(findings(small, 1e-3, 2), sg::Warning::vanishing_activations));
  nn::Sequential sigmoid = deep(8, 0.5, nn::Sigmoid());
  CHECK(has(findings(sigmoid, 1e-3, 2), sg::Warning::vanishing_gradient));
  nn::Sequential dead = deep(2, 1, nn::ReLU());
  {
    const torch::NoGradGuard no_gradients;
    dead->named_parameters()["2.bias"].fill_(-50);
  }
  const auto all = findings(dead, 0.05);
  const auto found = std::find_if(all.begin(), all.end(),
                                  [](const sg::Finding& finding) { return finding.kind == sg::Warning::dead_layer; });
  REQUIRE(found != all.end());
  CHECK(found->layer == "2");
  CHECK_THAT(found->text, ContainsSubstring("2: 100 % of its activations were near zero or negative in the last 5"));
  CHECK(has(all, sg::Warning::vanishing_gradient));  // nothing comes back through it
}

TEST_CASE("each warning names the layer and the figure that led to it", "[diagnosis]") {
  const auto only = [](sg::Figure figure, const std::vector<float>& values) {
    const auto all = sg::diagnose(history(figure, values));
    INFO(text(all));
    REQUIRE_FALSE(all.empty());
    CHECK(all.front().layer == "first");
    return all.front();
  };
  const sg::Finding dead = only(sg::Figure::near_zero, {0.5F, 0.97F});
  CHECK(dead.kind == sg::Warning::dead_layer);
  CHECK(dead.figure == Approx(0.97));
  CHECK_THAT(dead.text, ContainsSubstring("first: 97 %"));
  CHECK(only(sg::Figure::dead_channels, {0.6F}).kind == sg::Warning::dead_channels);
  const sg::Finding broken = only(sg::Figure::mean, {0, std::nanf(""), 0});
  CHECK(broken.kind == sg::Warning::not_finite);
  CHECK_THAT(broken.text, ContainsSubstring("since batch 20"));
  CHECK(only(sg::Figure::std, {150}).kind == sg::Warning::exploding_activations);
  const sg::Finding grown = only(sg::Figure::std, {1, 1, 1, 1, 1, 30, 30, 30, 30, 30});
  CHECK_THAT(grown.text, ContainsSubstring("grew from 1 to 30"));
  CHECK(only(sg::Figure::std, {1e-4F}).kind == sg::Warning::vanishing_activations);
  CHECK(only(sg::Figure::update_ratio, {0.5F}).kind == sg::Warning::large_update);
  CHECK(only(sg::Figure::update_ratio, {0}).kind == sg::Warning::small_update);
}

TEST_CASE("the last layer may say no to everything, and what was not recorded is not judged", "[diagnosis]") {
  const auto all = sg::diagnose(history(sg::Figure::near_zero, {1}));
  CHECK(all.size() == 1);
  CHECK(sg::diagnose(sg::StatsHistory()).empty());
  CHECK(sg::diagnose(history(sg::Figure::mean, {0, 0})).empty());
}
