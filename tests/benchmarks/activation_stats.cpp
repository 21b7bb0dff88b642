// What watching all 20 convolutions of a ResNet-18 costs, as ratios to the plain training step of the same run:
// benchmark_activation_stats [batch size runs threads], by default 8 images of 224 x 224, 15 runs, 2 threads.
//
// A step is forward, cross entropy, backward, SGD with momentum. Medians of interleaved runs. With `every = 20`, a run
// is 20 steps, of which one is recorded. On one thread, processor time is measured, for machines that do other work.

#include <torch/torch.h>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "sightglass/sightglass.hpp"
#include "support/nets/architectures.hpp"
#include "support/harness/timing.hpp"

namespace sg = sightglass;

namespace {

/// A network with its optimiser and one batch.
struct Training {
  support::ResNet18 net;
  torch::optim::SGD optimiser{net->parameters(), torch::optim::SGDOptions(1e-3).momentum(0.9)};
  torch::Tensor images;
  torch::Tensor classes;

  Training(int64_t batch, int64_t size)
      : images(torch::randn({batch, 3, size, size})), classes(torch::randint(1000, {batch})) {}

  void step() {
    optimiser.zero_grad();
    torch::cross_entropy_loss(net->forward(images), classes).backward();
    optimiser.step();
  }
};

void row(Training& training, const std::string& what, int64_t every, int runs, sg::ActivationStatsOptions options) {
  const sg::LayerFilter convolutions = sg::of_type<torch::nn::Conv2dImpl>();
  sg::ActivationStats stats(training.net, options.layers(convolutions).every(every));
  const auto fit = stats.fit();
  const auto plain = [&] {
    for (int64_t i = 0; i < every; ++i) training.step();
  };
  const auto watched = [&] {
    for (int64_t i = 0; i < every; ++i) {
      const auto batch = fit.batch();
      training.step();
    }
  };
  const support::Ratio ratio =
      support::compare(runs, plain, watched, at::get_num_threads() == 1 ? support::cpu_seconds : support::seconds);
  std::printf("%5lld  %-34s %9.1f %9.1f %8.3f %8.3f\n", static_cast<long long>(every), what.c_str(), 1e3 * ratio.plain,
              1e3 * ratio.explained, ratio.value(), ratio.paired);
  std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t batch = argc > 1 ? std::atoll(argv[1]) : 8;
  const int64_t size = argc > 2 ? std::atoll(argv[2]) : 224;
  const int runs = argc > 3 ? std::atoi(argv[3]) : 15;
  at::set_num_threads(argc > 4 ? std::atoi(argv[4]) : 2);
  std::printf("ActivationStats on ResNet-18's convolutions, batches of %lld, %lld x %lld, %d threads, LibTorch %s\n",
              static_cast<long long>(batch), static_cast<long long>(size), static_cast<long long>(size),
              at::get_num_threads(), TORCH_VERSION);
  std::printf("%5s  %-34s %9s %9s %8s %8s\n", "every", "recorded", "plain ms", "ms", "ratio", "paired");
  Training training(batch, size);
  using Options = sg::ActivationStatsOptions;
  row(training, "mean, std, near zero, dead", 1, runs, Options());
  row(training, "and histograms", 1, runs, Options().also(sg::Also::histograms));
  row(training, "and gradients", 1, runs, Options().also(sg::Also::gradients));
  row(training, "and updates", 1, runs, Options().also(sg::Also::updates));
  const Options all = Options().also(sg::Also::histograms).also(sg::Also::gradients).also(sg::Also::updates);
  row(training, "all", 1, runs, all);
  row(training, "mean, std, near zero, dead", 20, (runs + 4) / 5, Options());
  row(training, "all", 20, (runs + 4) / 5, all);
}
