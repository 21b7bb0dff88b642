// pets: cats or dogs? Takes a trained backbone, gives it a new head, trains
// both, and shows what the decisions rest on. `pets --help` tells the options.

#include <sightglass/opencv.hpp>

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "learner.hpp"
#include "loader.hpp"
#include "maps.hpp"
#include "net.hpp"
#include "pictures.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/program.hpp"
#include "support/training.hpp"

namespace sg = sightglass;
namespace fs = std::filesystem;

namespace {

struct Options {
  std::string folder;
  bool shapes = false;
  size_t pictures = 2000;
  std::string backbone = "resnet18";
  std::string weights;
  size_t folds = 0;
  double valid = 0.2;
  int frozen_epochs = 1;
  int epochs = 3;
  double rate = 2e-3;
  uint64_t seed = 1;
  support::Loader::Settings loading;
  int threads = 0;
  std::string picture;
  std::string boxes;
  std::string out = "pets";
};

/// What suits drawn pictures and a small network that knows nothing, where the command line does not say otherwise.
void choose_for_shapes(const CLI::App& app, Options& options) {
  if (app.count("--backbone") == 0) options.backbone = "tiny";
  if (app.count("--epochs") == 0) options.epochs = 40;
  if (app.count("--rate") == 0) options.rate = 2e-2;
  if (app.count("--size") == 0) options.loading.size = 112;
  if (app.count("--batch") == 0) options.loading.batch = 32;
}

support::PictureSet read_set(const Options& options) {
  if (options.shapes) return support::drawn_pictures(options.pictures, 224, options.seed);
  support::PictureSet set = support::pets_in(options.folder, options.loading.workers);
  if (!options.boxes.empty()) support::add_boxes(set, options.boxes);
  return set;
}

/// The classifier of a trained network is not wanted; whatever else does not meet is told.
void load_backbone(support::BackboneImpl& backbone, const std::string& path) {
  const sg::LoadReport report =
      sg::load_state_dict(backbone, path, sg::LoadOptions().strictness(sg::Strictness::lenient));
  TORCH_CHECK(report.missing.empty(), "weights \"", path, "\": lack ", report.missing.size(),
              " tensors of the backbone, the first is \"", report.missing.front(), "\"; is it another --backbone?");
  for (const std::string& name : report.unexpected)
    if (name.rfind("classifier.", 0) != 0 && name.rfind("fc.", 0) != 0)
      std::fprintf(stderr, "pets: weights \"%s\": \"%s\" is not used\n", path.c_str(), name.c_str());
}

support::PetsNet make_net(const Options& options, size_t classes, size_t fold) {
  torch::manual_seed(support::mixed({options.seed, 2, fold}));
  for (const support::NamedBackbone& named : support::backbones()) {
    if (named.name != options.backbone) continue;
    const std::shared_ptr<support::BackboneImpl> backbone = named.make();
    if (!options.weights.empty()) load_backbone(*backbone, options.weights);
    return support::PetsNet(backbone, static_cast<int64_t>(classes));
  }
  std::string known;
  for (const support::NamedBackbone& named : support::backbones()) known += " " + named.name;
  throw support::UsageError("--backbone " + options.backbone + ": not known; known are" + known);
}

support::Learner::Settings learning(const Options& options, const support::PictureSet& set, size_t parts, size_t fold) {
  support::Learner::Settings settings;
  settings.frozen_epochs = options.weights.empty() ? 0 : options.frozen_epochs;
  settings.epochs = options.epochs;
  settings.rate = options.rate;
  settings.seed = support::mixed({options.seed, 3, fold});
  settings.description =
      c10::str(set.items.size(), " pictures of ", options.shapes ? "shapes" : options.folder, ", part ", fold + 1,
               " of ", parts, ", ", options.backbone, options.weights.empty() ? "" : " from " + options.weights, ", ",
               settings.frozen_epochs, " + ", settings.epochs, " epochs, rate ", options.rate, ", batch ",
               options.loading.batch, ", size ", options.loading.size, ", seed ", options.seed);
  return settings;
}

/// A trained network, and the pictures that it has not seen.
struct Trained {
  support::PetsNet net = nullptr;
  support::Split split;
  support::Learner::Scores scores;
};

Trained train(const Options& options, const support::PictureSet& set, size_t parts, size_t fold) {
  Trained trained{make_net(options, set.vocabulary.size(), fold), support::split(set, parts, fold, options.seed), {}};
  TORCH_CHECK(!trained.split.validation.empty() && trained.split.training.size() > 1, "pictures: ", set.items.size(),
              " are too few for ", parts, " parts");
  const fs::path folder(options.out), checkpoint = folder / ("part" + std::to_string(fold + 1) + ".checkpoint");
  std::printf("\npart %zu of %zu: %zu pictures to learn from, %zu to judge by\n", fold + 1, parts,
              trained.split.training.size(), trained.split.validation.size());
  const auto kind = options.weights.empty() ? support::Learner::Backbone::random : support::Learner::Backbone::trained;
  support::Learner learner(trained.net, kind, learning(options, set, parts, fold));
  learner.fit(set, trained.split, options.loading, checkpoint);
  if (fold == 0 && learner.stats().steps() > 0) {
    const sg::DashboardOptions titled = sg::DashboardOptions().title(options.backbone);
    support::write_picture(folder / "dashboard.png", sg::dashboard(learner.stats(), titled));
  }
  trained.scores =
      learner.validate(support::Loader(set, trained.split.validation, options.loading, support::Augment::none, 0));
  return trained;
}

void print_pointing(const sg::PointingGame& game) {
  if (game.count() == 0) return;
  std::printf(
      "where Grad-CAM of the true class is highest: in the box in %lld of %lld pictures, %.1f %%; chance %.1f %%\n",
      static_cast<long long>(game.hits()), static_cast<long long>(game.count()), 100 * game.hit_rate(),
      100 * game.chance());
}

void explain(const Options& options, const support::PictureSet& set, const Trained& trained) {
  const support::PetsMaps maps(trained.net, set, options.loading.size);
  const support::Item& first = set.items[trained.split.validation.front()];
  const cv::Mat picture = options.picture.empty() ? first.picture() : sg::read_image(options.picture);
  const std::string name = options.picture.empty() ? first.name : fs::path(options.picture).filename().string();
  const fs::path folder(options.out), explained = folder / "explained.png", overview = folder / "overview.png";
  support::write_picture(explained, maps.explain(picture, name));
  constexpr size_t shown = 12;
  std::vector<size_t> chosen = trained.split.validation;
  chosen.resize(std::min(shown, chosen.size()));
  support::write_picture(overview, maps.overview(chosen));
  const fs::path weights = folder / "weights.pt";
  sg::save_state_dict(trained.net, weights.string());
  const fs::path dashboard = folder / "dashboard.png";
  if (fs::exists(dashboard)) std::printf("%s: what the convolutions did while they learnt\n", dashboard.c_str());
  std::printf(
      "%s: its maps\n%s: pictures that the network has not learnt from, and their maps\n%s: the weights, for "
      "torch.load\n",
      explained.c_str(), overview.c_str(), weights.c_str());
}

void run(const Options& options) {
  support::use_threads(options.threads);
  const support::PictureSet set = read_set(options);
  std::printf("%zu pictures, %zu skipped; vocabulary:", set.items.size(), set.broken);
  for (const std::string& word : set.vocabulary) std::printf(" %s", word.c_str());
  std::printf("\n");

  const size_t parts = options.folds > 0 ? options.folds : static_cast<size_t>(std::lround(1 / options.valid));
  support::Learner::Scores all;
  sg::PointingGame game;
  Trained first;
  for (size_t fold = 0; fold < std::max<size_t>(1, options.folds); ++fold) {
    const Trained trained = train(options, set, parts, fold);
    all.right += trained.scores.right;
    all.count += trained.scores.count;
    support::PetsMaps(trained.net, set, options.loading.size).play(trained.split.validation, game);
    if (fold == 0) first = trained;
  }
  std::printf("\n%zu of %zu right, %.1f %%\n", all.right, all.count,
              100.0 * static_cast<double>(all.right) / static_cast<double>(all.count));
  print_pointing(game);
  explain(options, set, first);
}

void add_options(CLI::App& app, Options& options) {
  const CLI::Validator count = support::quiet(CLI::Range(1, 1000000));
  CLI::Option* const folder =
      app.add_option("FOLDER", options.folder, "Pictures; a capital first letter is a cat's")->type_name("");
  app.add_flag("--shapes", options.shapes, "Learns from pictures that it draws itself, in place of a folder")
      ->excludes(folder);
  app.add_option("--pictures", options.pictures, "How many to draw for --shapes")
      ->type_name("COUNT")
      ->check(count)
      ->capture_default_str();
  app.add_option("--backbone", options.backbone,
                 "resnet18, resnet34, resnet50, mobilenet_v2, squeezenet1_0 or tiny [resnet18; --shapes: tiny]")
      ->type_name("NAME");
  app.add_option("--weights", options.weights,
                 "The backbone's state dict as Python saved it [random weights, and no frozen epochs]")
      ->type_name("FILE");
  app.add_option("--folds", options.folds, "Trains so many networks, each judged by another part of the pictures [one]")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(2, 1000)));
  app.add_option("--valid", options.valid, "The share of pictures to judge by where there are no folds")
      ->type_name("SHARE")
      ->check(support::quiet(CLI::Range(0.01, 0.5)))
      ->capture_default_str();
  app.add_option("--frozen-epochs", options.frozen_epochs, "Epochs in which the head alone learns")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(0, 10000)))
      ->capture_default_str();
  app.add_option("--epochs", options.epochs, "Epochs in which all learns [3; --shapes: 40]")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(0, 10000)));
  app.add_option("--rate", options.rate, "The head's highest learning rate [0.002; --shapes: 0.02]")
      ->type_name("NUMBER")
      ->check(support::quiet(CLI::Range(1e-7, 1.0)));
  app.add_option("--batch", options.loading.batch, "Pictures in a batch [16; --shapes: 32]")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(2, 4096)));
  app.add_option("--size", options.loading.size, "Height and width that pictures are resized to [224; --shapes: 112]")
      ->type_name("PIXELS")
      ->check(support::quiet(CLI::Range(32, 2048)));
  app.add_option("--workers", options.loading.workers, "Threads that load pictures")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(1, 256)))
      ->capture_default_str();
  support::add_threads_option(app, options.threads);
  support::add_seed_option(app, options.seed);
  app.add_option("--picture", options.picture, "Picture to explain [the first of those to judge by]")
      ->type_name("FILE");
  app.add_option("--boxes", options.boxes, "Table of the animals' boxes: file, x0, y0, x1, y1")->type_name("FILE");
  app.add_option("--out", options.out, "Folder to write to")->type_name("FOLDER")->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Cats or dogs? Trains a network on a folder of pictures and shows what it looks at. Interrupted, the same\n"
      "command goes on where it was.",
      "pets");
  add_options(app, options);
  return support::run_program("pets", app, argc, argv, [&] {
    if (options.folder.empty() != options.shapes)
      throw support::UsageError("what to learn from? Give a folder of pictures, or --shapes");
    if (options.shapes) choose_for_shapes(app, options);
    run(options);
    return support::all_well;
  });
}
