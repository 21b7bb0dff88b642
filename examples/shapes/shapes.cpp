// shapes: trains a small network on pictures that it draws itself, and shows what its decisions rest on. As the places
// of the objects are known, it can also tell how often a map points at them. `shapes --help` tells the options.

#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>
#include <sightglass/opencv.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "torchscript.hpp"
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

constexpr int side = 224;        // of a picture, what `explain` resizes to by default
constexpr int small_side = 112;  // of the pictures that the training begins with
constexpr int64_t batch_size = 32;
constexpr int held_out_count = 512;
constexpr int shown_count = 16;

struct Options {
  std::string out = "shapes";
  uint64_t seed = 1;
  int epochs = 42;
  int pictures = 1000;
  int threads = 0;
};

class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

// ---- Training

std::vector<drawing::Scene> draw_scenes(cv::RNG& random, int size, int count) {
  const int classes = static_cast<int>(drawing::class_names().size());
  std::vector<drawing::Scene> scenes;
  for (int i = 0; i < count; ++i) scenes.push_back(drawing::draw(random, size, i % classes));
  return scenes;
}

/// Pictures to train on, and their classes: all that the network is told. Pixels are kept in 8 bits.
struct TrainingSet {
  Tensor pixels;  // [N, 3, S, S] RGB
  Tensor labels;  // [N]

  TrainingSet(cv::RNG& random, int size, int count)
      : pixels(torch::empty({count, 3, size, size}, torch::kByte)), labels(torch::empty({count}, torch::kLong)) {
    const sg::Preprocessing as_it_is = sg::Preprocessing();
    const std::vector<drawing::Scene> scenes = draw_scenes(random, size, count);
    for (int i = 0; i < count; ++i) {
      const drawing::Scene& scene = scenes[static_cast<size_t>(i)];
      pixels[i] = sg::to_tensor(scene.picture, as_it_is).squeeze(0).mul(255).round().to(torch::kByte);
      labels[i] = scene.label;
    }
  }

  /// The chosen pictures as `sg::to_tensor` would give them.
  Tensor inputs(const Tensor& chosen) const {
    static const sg::Preprocessing preprocessing = sg::imagenet(side);
    static const Tensor mean = torch::tensor(preprocessing.mean(), torch::kFloat).view({1, 3, 1, 1});
    static const Tensor deviation = torch::tensor(preprocessing.std(), torch::kFloat).view({1, 3, 1, 1});
    return pixels.index_select(0, chosen).to(torch::kFloat).div_(255).sub_(mean).div_(deviation);
  }
};

/// The learning rate's share of its highest value: up in the first seventh, then down along a cosine.
double schedule(double progress) {
  constexpr double warm_up = 0.15;
  return progress < warm_up ? progress / warm_up : 0.5 * (1 + std::cos(M_PI * (progress - warm_up) / (1 - warm_up)));
}

/// One of the eight ways to turn and mirror a picture, none of which changes its class.
Tensor mirrored(const Tensor& batch, int way) {
  Tensor result = batch;
  if ((way & 1) != 0) result = result.flip(3);
  if ((way & 2) != 0) result = result.flip(2);
  if ((way & 4) != 0) result = result.transpose(2, 3);
  return result.contiguous();
}

class Training {
 public:
  Training(support::ShapesNet net, cv::RNG& random, int epochs)
      : net_(std::move(net)), random_(random), epochs_(epochs), optimiser_(net_->parameters(), highest_rate) {}

  /// Shows the network each picture of the set once.
  void epoch(const TrainingSet& set) {
    const Clock clock;
    net_->train();
    const int64_t count = set.labels.size(0);
    const Tensor order = torch::randperm(count);
    const int64_t batches = std::max<int64_t>(1, count / batch_size);
    double loss = 0, right = 0, seen = 0;
    support::Progress progress("epoch " + std::to_string(epoch_ + 1), static_cast<size_t>(batches));
    for (int64_t batch = 0; batch < batches; ++batch) {
      set_rate((epoch_ + static_cast<double>(batch) / static_cast<double>(batches)) / epochs_);
      const Tensor chosen = order.slice(0, batch * batch_size, (batch + 1) * batch_size);
      const Tensor labels = set.labels.index_select(0, chosen);
      const Tensor scores = net_->forward(mirrored(set.inputs(chosen), random_.uniform(0, 8)));
      const Tensor batch_loss = torch::nn::functional::cross_entropy(scores, labels);
      optimiser_.zero_grad();
      batch_loss.backward();
      optimiser_.step();
      loss += batch_loss.item<double>() * static_cast<double>(labels.size(0));
      right += scores.argmax(1).eq(labels).sum().item<double>();
      seen += static_cast<double>(labels.size(0));
      progress.advance();
    }
    ++epoch_;
    char line[128];
    std::snprintf(line, sizeof line, "epoch %2d of %d  %d x %d pixels  loss %.3f  accuracy %s  %.1f s", epoch_, epochs_,
                  static_cast<int>(set.pixels.size(3)), static_cast<int>(set.pixels.size(2)), loss / seen,
                  percent(right / seen).c_str(), clock.seconds());
    progress.say(line, stdout);
  }

 private:
  static constexpr double highest_rate = 0.01;

  void set_rate(double progress) {
    for (torch::optim::OptimizerParamGroup& group : optimiser_.param_groups())
      static_cast<torch::optim::AdamWOptions&>(group.options()).lr(highest_rate * std::max(0.02, schedule(progress)));
  }

  support::ShapesNet net_;
  cv::RNG& random_;
  int epochs_;
  int epoch_ = 0;
  torch::optim::AdamW optimiser_;
};

/// Trains on small pictures first, where the object fills much and learning is fast, then on whole ones.
support::ShapesNet train(const Options& options) {
  const Clock clock;
  cv::RNG random(options.seed);
  const int small_epochs = options.epochs * 2 / 3;
  const TrainingSet small(random, small_side, options.pictures), whole(random, side, options.pictures);
  std::printf("drew %d pictures to train on in %.1f s\n", 2 * options.pictures, clock.seconds());
  support::ShapesNet net(static_cast<int64_t>(drawing::class_names().size()));
  Training training(net, random, options.epochs);
  for (int epoch = 0; epoch < options.epochs; ++epoch) training.epoch(epoch < small_epochs ? small : whole);
  net->eval();
  net->fold_norm();
  std::printf("trained in %.1f s\n", clock.seconds());
  return net;
}

// ---- What the decisions rest on

/// How often something was so.
struct Count {
  int hits = 0, total = 0;
  void add(bool hit) {
    hits += hit ? 1 : 0;
    ++total;
  }
  double share() const { return total == 0 ? 0.0 : static_cast<double>(hits) / total; }
};

Tensor input_of(const std::vector<drawing::Scene>& scenes) {
  std::vector<Tensor> inputs;
  for (const drawing::Scene& scene : scenes) inputs.push_back(sg::to_tensor(scene.picture, sg::imagenet(side)));
  return torch::cat(inputs);
}

struct Pointing {
  Count in_box, on_object;
  void add(const sg::Explanation& explanation, const std::vector<drawing::Scene>& scenes) {
    for (size_t i = 0; i < scenes.size(); ++i) {
      const auto [x, y] = explanation.peak(static_cast<int64_t>(i));
      const cv::Point peak(static_cast<int>(x), static_cast<int>(y));
      in_box.add(scenes[i].box.contains(peak));
      on_object.add(scenes[i].mask.at<uchar>(peak) != 0);
    }
  }
};

void print_row(const char* name, double in_box, double on_object) {
  std::printf("  %-28s %10s %12s\n", name, percent(in_box).c_str(), percent(on_object).c_str());
}

/// Explains decisions about pictures that the network has not seen, right or wrong, and counts where the maps peak.
void evaluate(const support::ShapesNet& net, cv::RNG& random) {
  Count right;
  Pointing grad_cam, cam;
  double box_share = 0, object_share = 0;
  support::Progress progress("explaining", held_out_count / batch_size);
  for (int done = 0; done < held_out_count; done += batch_size) {
    const std::vector<drawing::Scene> scenes = draw_scenes(random, side, batch_size);
    const sg::Pass pass(net, input_of(scenes), {net->features});
    grad_cam.add(pass.explain(0, sg::GradCam{}), scenes);
    cam.add(pass.explain(0, sg::Cam{net->classifier->weight}), scenes);
    const Tensor predicted = pass.output().argmax(1);
    for (size_t i = 0; i < scenes.size(); ++i) {
      right.add(predicted[static_cast<int64_t>(i)].item<int>() == scenes[i].label);
      box_share += scenes[i].box.area() / static_cast<double>(side * side) / held_out_count;
      object_share += cv::countNonZero(scenes[i].mask) / static_cast<double>(side * side) / held_out_count;
    }
    progress.advance();
  }
  progress.say("\n" + std::to_string(held_out_count) + " held-out pictures, accuracy " + percent(right.share()),
               stdout);
  std::printf("where the map of the predicted class is highest:\n  %-28s %10s %12s\n", "", "in the box",
              "on the object");
  print_row("Grad-CAM", grad_cam.in_box.share(), grad_cam.on_object.share());
  print_row("CAM", cam.in_box.share(), cam.on_object.share());
  print_row("chance: a point anywhere", box_share, object_share);
}

// ---- What is left on disk

cv::Mat with_box(const cv::Mat& picture, const cv::Rect& box) {
  cv::Mat framed = picture.clone();
  cv::rectangle(framed, box, cv::Scalar(255, 255, 255), 1);
  return framed;
}

/// Pictures with their boxes, each with the map of its prediction beside it.
cv::Mat explained_grid(const support::ShapesNet& net, const std::vector<drawing::Scene>& scenes) {
  const std::vector<std::string>& names = drawing::class_names();
  const sg::Pass pass(net, input_of(scenes), {net->features});
  const sg::Explanation explanation = pass.explain(0, sg::GradCam{});
  const Tensor probabilities = pass.output().softmax(1);
  std::vector<sg::Tile> tiles;
  for (size_t i = 0; i < scenes.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i);
    const int64_t predicted = explanation.targets()[row].item<int64_t>();
    const std::string certainty = percent(probabilities[row][predicted].item<double>());
    tiles.push_back({with_box(scenes[i].picture, scenes[i].box), names[static_cast<size_t>(scenes[i].label)]});
    tiles.push_back({with_box(sg::overlay(scenes[i].picture, explanation.map(row)), scenes[i].box),
                     "taken for: " + names[static_cast<size_t>(predicted)] + ", " + certainty});
  }
  return sg::grid(tiles, sg::GridOptions().columns(8));
}

/// The trained network as a TorchScript file; says how far its scores are from the network's own.
void save_network(support::ShapesNet net, const fs::path& path, const Tensor& input) {
  support::write_whole(path, [&](const std::string& beside) { support::to_torchscript(net).save(beside); });
  const torch::NoGradGuard no_gradients;
  torch::jit::Module script = torch::jit::load(path.string());
  const Tensor difference = (script.forward({input}).toTensor() - net->forward(input)).abs().max();
  std::printf("%s: the network as TorchScript; its scores differ by %.1e at most\n", path.c_str(),
              difference.item<double>());
}

void write_results(const support::ShapesNet& net, const std::vector<drawing::Scene>& scenes, const fs::path& folder) {
  const std::vector<std::string>& names = drawing::class_names();
  const fs::path grid = folder / "grid.png", network = folder / "shapes.pt", labels = folder / "labels.txt";
  support::write_picture(grid, explained_grid(net, scenes));
  std::printf("\n%s: %zu held-out pictures and their maps\n", grid.c_str(), scenes.size());

  std::string lines;
  for (const std::string& name : names) lines += name + "\n";
  support::write_whole(labels, lines);
  save_network(net, network, input_of(scenes));

  fs::path first;
  for (size_t i = 0; i < scenes.size(); ++i) {
    char number[24];
    std::snprintf(number, sizeof number, "%02zu", i);
    const fs::path picture =
        folder / "pictures" / (std::string(number) + "_" + names[static_cast<size_t>(scenes[i].label)] + ".png");
    support::write_picture(picture, scenes[i].picture);
    if (first.empty()) first = picture;
  }
  std::printf("try: explain %s %s --labels %s\n", network.c_str(), first.c_str(), labels.c_str());
}

void run(const Options& options) {
  support::use_threads(options.threads);
  torch::manual_seed(options.seed);
  const support::ShapesNet net = train(options);
  cv::RNG held_out(options.seed + (uint64_t{1} << 32));  // pictures that no training of a small seed has seen
  evaluate(net, held_out);
  write_results(net, draw_scenes(held_out, side, shown_count), options.out);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Trains a small network on pictures that it draws itself, and shows what its decisions rest on.\n"
      "Writes FOLDER/grid.png, FOLDER/shapes.pt (TorchScript, for explain), FOLDER/labels.txt and\n"
      "FOLDER/pictures/.",
      "shapes");
  app.add_option("--out", options.out, "Folder to write to")->type_name("FOLDER")->capture_default_str();
  app.add_option("--epochs", options.epochs, "Times that the network sees its pictures")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(1, 1000)))
      ->capture_default_str();
  app.add_option("--pictures", options.pictures, "Pictures that an epoch has")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(32, 20000)))
      ->capture_default_str();
  support::add_threads_option(app, options.threads);
  support::add_seed_option(app, options.seed);
  return support::run_program("shapes", app, argc, argv, [&] {
    run(options);
    return support::all_well;
  });
}
