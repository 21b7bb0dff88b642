// watch: trains the small network of `shapes` while sightglass looks at its layers, and draws what it saw as one
// picture, with warnings in words. The network can be broken on purpose, to see how that looks. `watch --help` tells
// the options.

#include <torch/nn/functional/loss.h>
#include <torch/optim/sgd.h>
#include <sightglass/opencv.hpp>

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "support/drawing.hpp"
#include "support/files.hpp"
#include "support/program.hpp"
#include "support/progress.hpp"
#include "support/shapes_net.hpp"
#include "support/training.hpp"

namespace sg = sightglass;
namespace fs = std::filesystem;
using torch::Tensor;

namespace {

constexpr int side = 112;

struct Options {
  std::string out = "watch";
  uint64_t seed = 1;
  int batches = 120;
  int batch_size = 32;
  int every = 1;
  int redraw = 10;
  bool watch = false;
  double learning_rate = 0.01;
  std::string initialisation = "usual";
  int threads = 0;
};

/// Pictures to train on, drawn once, and their classes.
struct Pictures {
  Tensor inputs;  // [N, 3, S, S]
  Tensor labels;  // [N]

  Pictures(uint64_t seed, int count) : labels(torch::empty({count}, torch::kLong)) {
    cv::RNG random(seed);
    std::vector<Tensor> drawn;
    for (int i = 0; i < count; ++i) {
      const drawing::Scene scene = drawing::draw(random, side, i % static_cast<int>(drawing::class_names().size()));
      drawn.push_back(sg::to_tensor(scene.picture, sg::imagenet(side)));
      labels[i] = scene.objects.front().label;
    }
    inputs = torch::cat(drawn);
  }
};

/// Zero leaves nothing to learn from; a thousand times the usual weights make the first layers' outputs explode.
void initialise(support::ShapesNet& net, const std::string& way) {
  const torch::NoGradGuard no_gradients;
  if (way == "usual") return;
  for (const auto& parameter : net->named_parameters()) {
    if (parameter.value().dim() > 1) parameter.value().mul_(way == "zero" ? 0 : 1000);
  }
}

/// All that `watch` leaves on disk, in one folder.
class Watched {
 public:
  Watched(const support::ShapesNet& net, const Options& options)
      : picture_(fs::path(options.out) / "dashboard.png"), stats_(net, stats_options(options)) {}

  sg::ActivationStats& stats() { return stats_; }

  /// Whoever looks at the picture meanwhile sees the old or the new one whole.
  void draw() const { support::write_picture(picture_, sg::dashboard(stats_, sg::DashboardOptions().title("shapes"))); }
  const fs::path& picture() const { return picture_; }

 private:
  static sg::ActivationStatsOptions stats_options(const Options& options) {
    const fs::path folder = options.out;
    fs::create_directories(folder);
    sg::ActivationStatsOptions chosen;
    chosen.every(options.every)
        .also(sg::Also::histograms)
        .also(sg::Also::gradients)
        .also(sg::Also::updates)
        .json_lines((folder / "activations.jsonl").string(), sg::Existing::replace)
        .csv((folder / "activations.csv").string(), sg::Existing::replace);
    return chosen;
  }

  fs::path picture_;
  sg::ActivationStats stats_;
};

double train(support::ShapesNet& net, const Pictures& pictures, Watched& watched, const Options& options) {
  torch::optim::SGD optimiser(net->parameters(), torch::optim::SGDOptions(options.learning_rate).momentum(0.9));
  support::Progress progress("training", static_cast<size_t>(options.batches));
  const int64_t count = pictures.labels.size(0);
  double loss_of_last = 0;
  net->train();
  const auto fit = watched.stats().fit();
  for (int number = 0; number < options.batches; ++number) {
    {
      const auto batch = fit.batch();
      const Tensor chosen = torch::randint(count, {options.batch_size}, torch::kLong);
      const Tensor scores = net->forward(pictures.inputs.index_select(0, chosen));
      const Tensor loss = torch::nn::functional::cross_entropy(scores, pictures.labels.index_select(0, chosen));
      optimiser.zero_grad();
      loss.backward();
      optimiser.step();
      loss_of_last = loss.item<double>();
    }
    if (options.watch && number % options.redraw == 0) watched.draw();
    progress.advance();
  }
  return loss_of_last;
}

void run(const Options& options) {
  support::use_threads(options.threads);
  torch::manual_seed(options.seed);
  const Pictures pictures(options.seed, 16 * options.batch_size);
  support::ShapesNet net(static_cast<int64_t>(drawing::class_names().size()));
  initialise(net, options.initialisation);
  net->eval();
  std::printf("%s\n", sg::summary(net, pictures.inputs.slice(0, 0, 1)).text().c_str());

  Watched watched(net, options);
  const double loss = train(net, pictures, watched, options);
  watched.draw();
  if (std::isfinite(loss)) {
    std::printf("loss of the last of %d batches: %.3f\n", options.batches, loss);
  } else {
    std::printf("the loss of the last of %d batches is not finite\n", options.batches);
  }
  const std::vector<sg::Finding> findings = sg::diagnose(watched.stats());
  for (const sg::Finding& finding : findings) std::printf("warning: %s\n", finding.text.c_str());
  if (findings.empty()) std::printf("no warnings\n");
  std::printf("%s: the dashboard; beside it the figures as JSON lines and CSV\n", watched.picture().c_str());
}

void add_options(CLI::App& app, Options& options) {
  const auto at_least_one = support::quiet(CLI::Range(1, 1000000));
  app.add_option("--out", options.out, "Folder to write to")->type_name("FOLDER")->capture_default_str();
  app.add_option("--batches", options.batches, "How long to train")
      ->type_name("COUNT")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--batch-size", options.batch_size, "Pictures in a batch")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(2, 1024)))
      ->capture_default_str();
  app.add_option("--every", options.every, "Records each batch whose number is a multiple of it")
      ->type_name("COUNT")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_flag("--watch", options.watch, "Draws the dashboard again and again while the training goes on");
  app.add_option("--redraw", options.redraw, "With --watch: after how many batches")
      ->type_name("COUNT")
      ->check(at_least_one)
      ->capture_default_str();
  app.add_option("--learning-rate", options.learning_rate, "100 breaks the network")
      ->type_name("NUMBER")
      ->check(support::quiet(CLI::PositiveNumber))
      ->capture_default_str();
  app.add_option("--initialisation", options.initialisation, "usual; zero and large break the network")
      ->type_name("WAY")
      ->check(support::quiet(CLI::IsMember({"usual", "zero", "large"})))
      ->capture_default_str();
  support::add_threads_option(app, options.threads);
  support::add_seed_option(app, options.seed);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a small network on pictures that it draws itself, and shows how its layers fare.\n"
      "Writes FOLDER/dashboard.png, FOLDER/activations.jsonl and FOLDER/activations.csv.",
      "watch");
  add_options(app, options);
  return support::run_program("watch", app, argc, argv, [&] {
    run(options);
    return support::all_well;
  });
}
