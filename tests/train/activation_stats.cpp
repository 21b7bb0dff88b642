#include "sightglass/train/activation_stats.hpp"

#include <fstream>
#include <stdexcept>

#include <unistd.h>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/quiet.hpp"
#include "support/harness/scratch_file.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::quiet;
using Options = sg::ActivationStatsOptions;
using support::identical;
using torch::Tensor;

namespace {

Options everything() { return Options().also(sg::Also::histograms).also(sg::Also::gradients).also(sg::Also::updates); }

/// Everything in the open: what each layer gives is written down by the network itself.
struct OpenNetImpl : torch::nn::Module {
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(3, 4, 3)};
  torch::nn::BatchNorm2d norm{4};
  torch::nn::Linear fc{4, 5};
  std::vector<Tensor> given;
  OpenNetImpl() {
    register_module("conv", conv);
    register_module("norm", norm);
    register_module("fc", fc);
  }
  Tensor forward(const Tensor& x) {
    given = {conv->forward(x)};
    given.push_back(norm->forward(given[0]));
    given.push_back(fc->forward(torch::relu(given[1]).mean({2, 3})));
    return given[2];
  }
};
TORCH_MODULE(OpenNet);

struct Step {
  std::vector<Tensor> outputs, gradients, before, after;
};

/// Trains three steps; what each step did to each layer.
std::vector<Step> train_in_the_open(sg::ActivationStats* stats, OpenNet& net) {
  torch::manual_seed(3);
  torch::optim::SGD optimiser(net->parameters(), 0.1);
  std::vector<Step> steps;
  for (int i = 0; i < 3; ++i) {
    Step step;
    const auto weights = [&](std::vector<Tensor>& into) {
      for (const auto& layer : net->children()) {
        std::vector<Tensor> flat;
        for (const Tensor& parameter : layer->parameters()) flat.push_back(parameter.detach().flatten());
        into.push_back(torch::cat(flat));
      }
    };
    const Tensor x = torch::randn({4, 3, 8, 8});
    weights(step.before);
    if (stats != nullptr) stats->before_batch();
    optimiser.zero_grad();
    const Tensor y = net->forward(x);
    for (const Tensor& output : net->given) output.retain_grad();
    torch::cross_entropy_loss(y, torch::tensor({0, 1, 2, 3})).backward();
    optimiser.step();
    if (stats != nullptr) stats->after_batch();
    weights(step.after);
    for (const Tensor& output : net->given) {
      step.outputs.push_back(output.detach());
      step.gradients.push_back(output.grad());
    }
    steps.push_back(step);
  }
  return steps;
}

}  // namespace

TEST_CASE("statistics equal straightforward tensor code on every layer and step", "[activation_stats]") {
  torch::manual_seed(1);
  OpenNet net;
  sg::ActivationStats stats(net, everything());
  stats.before_fit();
  const std::vector<Step> steps = train_in_the_open(&stats, net);
  stats.after_fit();
  CHECK(stats.names() == std::vector<std::string>{"conv", "norm", "fc"});
  CHECK(stats.batches().equal(torch::tensor({0, 1, 2}, torch::kLong)));
  for (size_t i = 0; i < stats.size(); ++i) {
    const sg::LayerStats layer = stats.layer(i);
    for (int64_t s = 0; s < 3; ++s) {
      INFO(stats.names()[i] << ", step " << s);
      const Step& step = steps[static_cast<size_t>(s)];
      const Tensor& y = step.outputs[i];
      const Tensor& g = step.gradients[i];
      const auto near = [&](const Tensor& got, const Tensor& expected) {
        CHECK(got[s].item<double>() == Approx(expected.item<double>()).epsilon(1e-4).margin(1e-6));
      };
      near(layer.mean(), y.mean());
      near(layer.std(), y.std());
      near(layer.near_zero(), y.le(0.05).to(torch::kFloat).mean());
      const Tensor dead = y.transpose(0, 1).flatten(1).amax(1).le(0.05);
      CHECK(layer.dead(s).equal(dead));
      near(layer.dead_channels(), dead.to(torch::kFloat).mean());
      CHECK(layer.histograms()[s].equal(y.histc(40, 0, 10)));
      near(layer.gradient_mean(), g.mean());
      near(layer.gradient_std(), g.std());
      near(layer.gradient_norm(), g.norm());
      near(layer.gradient_zeros(), g.eq(0).to(torch::kFloat).mean());
      near(layer.update_ratio(), (step.after[i] - step.before[i]).norm() / step.before[i].norm());
    }
  }
}

TEST_CASE("training watched, or with a watcher that is off, gives the weights of training without",
          "[activation_stats]") {
  enum class Watcher { none, asleep, awake };
  const auto weights = [](Watcher watcher) {
    torch::manual_seed(1);
    nets::ResNet net;
    torch::optim::Adam optimiser(net->parameters(), torch::optim::AdamOptions(0.01).weight_decay(1e-3));
    sg::ActivationStats stats(net, everything().every(watcher == Watcher::asleep ? 1000 : 1));
    const auto fit = stats.fit(1);
    for (int i = 0; i < 4; ++i) {
      if (watcher != Watcher::none) stats.before_batch();
      CHECK(quiet() == (watcher != Watcher::awake));
      optimiser.zero_grad();
      torch::cross_entropy_loss(net->forward(torch::randn({4, 3, 8, 8})), torch::tensor({0, 1, 2, 3})).backward();
      optimiser.step();
      if (watcher != Watcher::none) stats.after_batch();
    }
    CHECK(stats.steps() == (watcher == Watcher::awake ? 4 : 0));
    return support::saved(*net) + std::to_string(torch::rand({1}).item<double>());
  };
  const std::string plain = weights(Watcher::none);
  CHECK((weights(Watcher::asleep) == plain));
  CHECK((weights(Watcher::awake) == plain));
}

TEST_CASE("every n-th batch in training mode is recorded; evaluation is not", "[activation_stats]") {
  nets::ConvNet net;
  sg::ActivationStats stats(net, Options().every(2));
  {
    const auto fit = stats.fit();
    for (int i = 0; i < 5; ++i) {
      net->train();
      {
        const auto batch = fit.batch();
        net->forward(torch::randn({2, 3, 12, 12}));
      }
      net->eval();
      const auto batch = fit.batch();
      CHECK(quiet());
      net->forward(torch::randn({2, 3, 12, 12}));
    }
  }
  CHECK(stats.batches().equal(torch::tensor({0, 2, 4}, torch::kLong)));
  CHECK_FALSE(stats.layer("fc").gradient_mean().defined());
  CHECK_FALSE(stats.layer("fc").histograms().defined());
  CHECK_FALSE(stats.layer("fc").update_ratio().defined());
  net->train();
  const auto fit = stats.fit();
  for (int i = 0; i < 2; ++i) {
    const auto batch = fit.batch();
    net->forward(torch::randn({2, 3, 12, 12}));
  }
  CHECK(stats.steps() == 4);  // a second training adds to the first: batch 6
}

TEST_CASE("each output of a layer that gives tuples has statistics", "[activation_stats]") {
  nets::Recurrent net;
  sg::ActivationStats stats(net, everything().layers({"lstm", "fc"}));
  const auto fit = stats.fit();
  {
    const auto batch = fit.batch();
    net->forward(torch::randn({3, 5, 6})).sum().backward();
  }
  CHECK(stats.names() == std::vector<std::string>{"lstm", "lstm[1]", "lstm[2]", "fc"});
  CHECK(stats.layer("lstm[2]").std().item<float>() > 0);
  CHECK(stats.layer("lstm").dead(0).sizes() == at::IntArrayRef({4}));
  CHECK(stats.layer("lstm").update_ratio().defined());
  CHECK_FALSE(stats.layer("lstm[1]").update_ratio().defined());
}

TEST_CASE("exceptions in the loop leave nothing on and no record", "[activation_stats]") {
  nets::Fragile net;
  sg::ActivationStats stats(net);
  const auto step = [&] {
    const auto fit = stats.fit();
    const auto batch = fit.batch();
    net->forward(torch::randn({2, 4}));
  };
  step();
  net->broken = true;
  CHECK_THROWS_WITH(step(), "the model is broken");
  CHECK(quiet());
  net->broken = false;
  step();
  CHECK(stats.batches().equal(torch::tensor({0, 1}, torch::kLong)));
}

TEST_CASE("files hold each record at once, and a run is resumed where a crash left it", "[activation_stats]") {
  const support::ScratchFile json("stats.jsonl");
  const support::ScratchFile csv("stats.csv");
  nets::ConvNet net;
  const auto run = [&](int steps, int64_t first) {
    sg::ActivationStats stats(net, everything().json_lines(json.path()).csv(csv.path()));
    first < 0 ? stats.before_fit() : stats.before_fit(first);
    for (int i = 0; i < steps; ++i) {
      stats.before_batch();
      net->forward(torch::randn({2, 3, 12, 12})).select(1, 0).sum().backward();
      stats.after_batch();
      CHECK(sg::read_stats(json.path()).batches().equal(stats.batches()));
    }
    CHECK(identical(sg::read_stats(json.path()).layer("fc").gradient_std(), stats.layer("fc").gradient_std()));
    return stats.batches();
  };
  const auto rows = [&] {
    const std::string text = csv.read();
    return std::count(text.begin(), text.end(), '\n') - 1;
  };
  CHECK(run(3, -1).equal(torch::tensor({0, 1, 2}, torch::kLong)));
  CHECK(rows() == 9);
  json.write(json.read().substr(0, json.read().size() - 20));  // both files broken off in the last record
  csv.write(csv.read().substr(0, csv.read().size() - 20));
  CHECK(run(1, -1).equal(torch::tensor({0, 1, 2}, torch::kLong)));
  CHECK(rows() == 9);
  // From a checkpoint before the last records.
  CHECK(run(2, 1).equal(torch::tensor({0, 1, 2}, torch::kLong)));
  CHECK(rows() == 9);
  CHECK(run(1, -1).equal(torch::tensor({0, 1, 2, 3}, torch::kLong)));
  CHECK(rows() == 12);
}

TEST_CASE("options that make no sense are errors", "[activation_stats]") {
  nets::ConvNet net;
  CHECK_THROWS_WITH(sg::ActivationStats(net, Options().every(0)), ContainsSubstring("every: got 0"));
  CHECK_THROWS_WITH(Options().histogram(40, 3, 3), ContainsSubstring("histogram: got 40 bins over [3, 3]"));
  CHECK_THROWS_WITH(sg::ActivationStats(net, Options().layers({"conv3"})), ContainsSubstring("nearest: \"conv"));
}

#ifdef __linux__
TEST_CASE("10,000 watched steps keep the memory that 500 need, and leave no hook", "[activation_stats]") {
#ifdef __SANITIZE_ADDRESS__
  SKIPPED("AddressSanitizer keeps what was freed for a while; it looks for leaks in its own way");
#else
  const auto resident = [] {
    int64_t size = 0, pages = 0;
    std::ifstream("/proc/self/statm") >> size >> pages;
    return pages * sysconf(_SC_PAGESIZE) / 1024;
  };
  torch::nn::Sequential net(torch::nn::Linear(4, 4), torch::nn::Tanh(), torch::nn::Linear(4, 2));
  torch::optim::SGD optimiser(net->parameters(), 0.01);
  sg::ActivationStats stats(net, everything());
  const Tensor x = torch::randn({2, 4});
  int64_t after_500 = 0;
  for (int step = 0; step < 10000; ++step) {
    stats.before_batch();
    optimiser.zero_grad();
    net->forward(x).square().sum().backward();
    optimiser.step();
    stats.after_batch();
    if (step % 100 == 99) stats.forget_from(0);  // the records are kept on purpose
    if (step == 500) after_500 = resident();
  }
  CHECK(quiet());
  const int64_t grown = resident() - after_500;
  INFO("resident memory grew by " << grown << " KiB");
  CHECK(grown < 1024);  // 0.1 KiB a step would be seen
#endif
}
#endif
