#include <sightglass/opencv.hpp>
#include <sightglass/sightglass.hpp>

#include <torch/torch.h>

#include <iostream>
#include <utility>
#include <vector>

#include "support/nets/architectures.hpp"
#include "support/harness/catch.hpp"
#include "scratch.hpp"

namespace sg = sightglass;

TEST_CASE("the statistics of docs/training.md are recorded while a network trains") {
  const docs::ScratchFolder scratch("training");
  const docs::Printed printed;
  support::ResNet18 net(8, 300);
  torch::optim::SGD optimiser(net->parameters(), 1e-3);
  const std::vector<std::pair<torch::Tensor, torch::Tensor>> batches(
      21, {torch::randn({2, 3, 32, 32}), torch::tensor({0, 1})});

  sg::ActivationStats stats(net, sg::ActivationStatsOptions()
                                     .every(20)                  // records batches 0, 20, 40, ...
                                     .also(sg::Also::gradients)  // also histograms, updates (of weights)
                                     .json_lines("run.jsonl"));  // written as it goes; a run that ends is resumed
  {
    const auto fit = stats.fit();
    for (const auto& [images, labels] : batches) {
      const auto batch = fit.batch();  // until the end of the loop's body
      optimiser.zero_grad();
      torch::cross_entropy_loss(net->forward(images), labels).backward();
      optimiser.step();
    }
  }
  stats.layer("layer1.0.conv1").near_zero();  // [steps]; also mean, std, gradient_norm, ...
  for (const sg::Finding& finding : sg::diagnose(stats))
    std::cout << finding.text << '\n';  // dead layers, explosions, ...

  CHECK(stats.batches().equal(torch::tensor({0, 20})));

  cv::imwrite("dashboard.png", sg::dashboard(sg::read_stats("run.jsonl")));

  CHECK(sg::read_stats("run.jsonl").layer("fc").mean().equal(stats.layer("fc").mean()));
  CHECK(sg::read_image("dashboard.png").cols == 1400);
}

TEST_CASE("the callback of docs/training.md is called in every tenth batch") {
  support::ResNet18 net(8, 300);
  const torch::Tensor images = torch::randn({2, 3, 32, 32});
  int calls = 0;
  const auto look = [&](const sg::HookCall& call) { calls += call.outputs.empty() ? 0 : 1; };

  sg::HookCallback callback(
      net, [&](const sg::HookCall& call) { look(call); }, sg::HookCallbackOptions().every(10).layers(sg::named("fc")));
  const auto fit = callback.fit();
  for (int i = 0; i < 11; ++i) {
    const auto batch = fit.batch();
    net->forward(images);
  }

  CHECK(calls == 2);
}
