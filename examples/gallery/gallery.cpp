// gallery: all methods on one picture, as one grid; what a layer sees, as concepts; and how to write a method of one's
// own.

#include <CLI/CLI.hpp>
#include <sightglass/opencv.hpp>

#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/files.hpp"
#include "support/inputs.hpp"
#include "support/labels.hpp"
#include "support/methods.hpp"
#include "support/model_file.hpp"
#include "support/program.hpp"
#include "support/progress.hpp"
#include "support/signature.hpp"

namespace sg = sightglass;

namespace {

/// A method of one's own is any callable from a cut to maps [N, *S]. This one asks how much the score falls when half
/// of what the layer says at a place is taken away: gradient and score, no library code changed.
struct HalfGone {
  torch::Tensor operator()(const sg::Cut& cut) const {
    const torch::Tensor fall = cut.gradients() * cut.activations() / 2;               // [N, C, h, w], to first order
    return fall.sum(1).relu() / cut.scores().abs().clamp_min(1e-6).view({-1, 1, 1});  // [N, h, w], a share of the score
  }
};

struct Options {
  std::string model, picture, layer, labels, target, task;
  std::string out = "gallery.png", concepts;
  int64_t size = 224;
};

/// What the layer's activations are made of, each concept with the class that the model takes it for.
cv::Mat concept_picture(const sg::Pass& pass, const cv::Mat& photo, const support::Labels& labels, support::Task task,
                        support::ModelEnd end) {
  const sg::Cut cut = pass.at(0);
  const sg::Concepts concepts = sg::factorise(cut.activations(), 4);
  const torch::Tensor outputs = sg::outputs_of_concepts(cut, concepts.vectors);
  const support::Figures figures = support::figures_of(outputs, task, end);
  std::vector<std::string> texts;
  for (int64_t k = 0; k < outputs.size(0); ++k) {
    const auto [best, index] = figures.scores[k].max(0);
    const auto probability = support::probability_of(figures, k, index.item<int64_t>());
    char figure[32];
    std::snprintf(figure, sizeof figure, probability ? "%.0f %%" : "score %.3g",
                  probability ? 100 * *probability : best.item<double>());
    texts.push_back(support::title_of(index.item<int64_t>(), outputs.size(1), labels) + ", " + figure);
  }
  return sg::draw_concepts(photo, concepts.maps[0], sg::ConceptOptions().labels(texts));
}

void draw(const Options& options) {
  const support::Labels labels = options.labels.empty() ? support::Labels() : support::Labels::read(options.labels);
  const support::Task task = support::task_called(options.task);
  const torch::jit::Module script = support::load_model(options.model);
  support::check_signature(script, options.model);
  const sg::Model model = sg::Model(script).optimised();
  const support::Input input = support::read_input(options.picture, options.size);
  const torch::Tensor batch = input.batch.slice(0, 0, 1).to(support::type_of(script));
  const std::string layer = options.layer.empty() ? sg::suggest_layer(model, batch) : options.layer;
  const sg::Pass pass(model, batch, {model.layer(layer)}, sg::Tail::again);
  const sg::Target target = options.target.empty() ? sg::Target() : sg::Target(labels.index(options.target));

  if (!options.concepts.empty()) {
    support::write_picture(options.concepts,
                           concept_picture(pass, input.photos.front(), labels, task, support::end_of(script)));
    std::printf("concepts at %s: drawn in %s\n", layer.c_str(), options.concepts.c_str());
  }
  std::vector<support::Method> methods = support::methods();
  methods.push_back(support::method<HalfGone>("half-gone", "the example's own"));
  const int64_t class_index = target.classes(pass.output()).item<int64_t>();
  std::vector<sg::Tile> tiles{{input.photos.front(), labels.title(class_index)}};
  support::Progress progress("gallery", methods.size());
  for (const support::Method& method : methods) {
    const auto before = std::chrono::steady_clock::now();
    try {
      const sg::Explanation found = method.explain(pass, 0, target);
      tiles.push_back({sg::overlay(input.photos.front(), found.map(0)), method.name});
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
      char line[160];
      std::snprintf(line, sizeof line, "%-22s %8.3f s  %s", method.name.c_str(), took.count(),
                    sg::to_string(found.status(0)));
      progress.say(line, stdout);
    } catch (const std::exception& error) {
      progress.say(method.name + ": " + support::one_line(error), stdout);
    }
    progress.advance();
  }
  support::write_picture(options.out, sg::grid(tiles, sg::GridOptions().columns(6).cell({240, 240})));
  progress.say("all methods at " + layer + ": drawn in " + options.out, stdout);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Draws all methods on one picture, as one grid. Takes some minutes: SS-CAM and others run the model thousands\n"
      "of times.",
      "gallery");
  app.add_option("MODEL", options.model, "TorchScript file or exported program (.pt2)")->type_name("")->required();
  app.add_option("IMAGE", options.picture, "Picture, or a .npy array as explain takes it")->type_name("")->required();
  app.add_option("--layer", options.layer, "Layer, by its path in the model [the last spatial one]")->type_name("PATH");
  app.add_option("--target", options.target, "Class to explain [the prediction]")->type_name("INDEX|LABEL");
  app.add_option("--labels", options.labels, "The classes' names, one a line")->type_name("FILE");
  support::add_task_option(app, options.task);
  app.add_option("--size", options.size, "Height and width that the picture is resized to")
      ->type_name("PIXELS")
      ->check(support::quiet(CLI::Range(1, 8192)))
      ->capture_default_str();
  app.add_option("--out", options.out, "Picture to write")->type_name("FILE")->capture_default_str();
  app.add_option("--concepts", options.concepts, "Another picture to write: the concepts that the layer sees")
      ->type_name("FILE");
  return support::run_program("gallery", app, argc, argv, [&] {
    draw(options);
    return support::all_well;
  });
}
