// scoreboard: which method points best? Judges methods on a folder of pictures whose objects have boxes, and prints a
// table in Markdown.

#include <CLI/CLI.hpp>
#include <sightglass/opencv.hpp>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "scores.hpp"
#include "support/boxes.hpp"
#include "support/errors.hpp"
#include "support/methods.hpp"
#include "support/model_file.hpp"
#include "support/program.hpp"
#include "support/progress.hpp"
#include "support/signature.hpp"

namespace sg = sightglass;

namespace {

struct Options {
  std::string model, folder, layer, task = "classify";
  std::vector<std::string> methods{
      "cam",          "grad-cam",       "hires-cam", "grad-cam-element-wise", "grad-cam++", "xgrad-cam", "layer-cam",
      "shapley-cam",  "finer-cam",      "eigen-cam", "eigengrad-cam",         "kpca-cam",   "fem",       "recipro-cam",
      "ablation-cam", "fast-score-cam", "random-cam"};
  int64_t size = 224;
  int64_t steps = 10;
};

/// A table of the folder, and where its pictures are.
struct Part {
  std::string pictures;
  support::BoxTable table;
};

/// Nothing where the folder has no such table.
Part read_part(const std::string& folder, const std::string& pictures, const std::string& table) {
  const std::filesystem::path root(folder);
  if (!std::filesystem::exists(root / table)) return {};
  return {(root / pictures).string(), support::read_boxes((root / table).string())};
}

std::string layer_to_explain(const sg::Model& model, const Options& options, c10::ScalarType type) {
  const torch::Tensor input = torch::zeros({1, 3, options.size, options.size}, type);
  if (options.layer.empty()) return sg::suggest_layer(model, input);
  try {
    return model.layer(options.layer).name();
  } catch (const std::exception& error) {
    throw support::UsageError(support::one_line(error));
  }
}

std::vector<support::Method> chosen_methods(const Options& options) {
  std::vector<support::Method> methods;
  for (const std::string& name : options.methods) methods.push_back(support::method_called(name));
  return methods;
}

using Add = void (support::Scoreboard::*)(const std::string& path, const support::BoxedObject&);

/// All objects of a table; those that cannot be judged are named and skipped.
void add_objects(support::Scoreboard& board, const Part& part, Add add, const support::Scoreboard::Complain& complain,
                 support::Progress& progress) {
  for (const support::BoxedObject& object : part.table.objects) {
    const std::string path = (std::filesystem::path(part.pictures) / object.file).string();
    try {
      (board.*add)(path, object);
    } catch (const std::exception& error) {
      complain(path + ", class " + std::to_string(object.label) + " is skipped: " + support::one_line(error));
    }
    progress.advance();
  }
}

int judge(const Options& options) {
  const std::vector<support::Method> methods = chosen_methods(options);
  const support::Task task = support::task_called(options.task);
  if (task == support::Task::regress || task == support::Task::binary)
    throw support::UsageError("--task " + options.task +
                              ": the boxes are of classes; expected classify or multi-label");
  const Part photos = read_part(options.folder, "images", "boxes.csv");
  const Part collages = read_part(options.folder, "collages", "collages.csv");
  size_t failed = 0;
  support::Progress progress("judging", photos.table.objects.size() + collages.table.objects.size());
  const support::Scoreboard::Complain complain = [&](const std::string& text) {
    progress.say("scoreboard: " + text);
    ++failed;
  };
  for (const Part* part : {&photos, &collages})
    for (const std::string& complaint : part->table.complaints) complain(complaint);
  TORCH_CHECK(!photos.table.objects.empty() || !collages.table.objects.empty(), "folder \"", options.folder,
              "\": holds no boxes; expected images/ with boxes.csv, collages/ with collages.csv, or both");
  const torch::jit::Module script = support::load_model(options.model);
  support::check_signature(script, options.model);
  const sg::Model model = script;
  const std::string layer = layer_to_explain(model, options, support::type_of(script));

  support::Scoreboard board(
      model, methods, {layer, options.size, options.steps, task, support::end_of(script), support::type_of(script)},
      complain);
  add_objects(board, photos, &support::Scoreboard::add_photo, complain, progress);
  add_objects(board, collages, &support::Scoreboard::add_collage, complain, progress);
  std::fputs(board.markdown().c_str(), stdout);
  progress.say("scoreboard: " + std::to_string(board.methods()) + " methods at " + layer + ", " +
               std::to_string(board.photos()) + " photos, " + std::to_string(board.collages()) +
               " objects in collages, " + std::to_string(failed) + " complaints");
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Tells which method points best: judges methods on pictures whose objects have boxes. The folder holds images/\n"
      "with boxes.csv (file, class_index, x0, y0, x1, y1), collages/ with collages.csv, or both. Prints a table in\n"
      "Markdown.",
      "scoreboard");
  app.add_option("MODEL", options.model, "TorchScript file or exported program (.pt2)")->type_name("")->required();
  app.add_option("FOLDER", options.folder, "Pictures and their boxes")->type_name("")->required();
  app.add_option("--methods,--method", options.methods,
                 "Methods, see explain --list-methods [all cheap ones, a control]")
      ->type_name("NAME[,NAME]")
      ->delimiter(',');
  app.add_option("--layer", options.layer, "Layer, by its path in the model [the last spatial one]")->type_name("PATH");
  app.add_option("--task", options.task,
                 "What the outputs are: classify (softmax, unless they are probabilities) or multi-label")
      ->type_name("TASK")
      ->capture_default_str();
  app.add_option("--size", options.size, "Height and width that pictures are resized to")
      ->type_name("PIXELS")
      ->check(support::quiet(CLI::Range(1, 8192)))
      ->capture_default_str();
  app.add_option("--steps", options.steps, "Parts in which pixels are inserted and deleted")
      ->type_name("COUNT")
      ->check(support::quiet(CLI::Range(1, 10000)))
      ->capture_default_str();
  return support::run_program("scoreboard", app, argc, argv, [&] { return judge(options); });
}
