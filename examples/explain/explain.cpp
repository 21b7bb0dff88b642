// explain: a TorchScript model's decisions about pictures, explained by maps drawn over them.
// `explain --help` tells how; the options are in options.hpp, explainer.hpp explains a picture, every_file.hpp all.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calls.hpp"
#include "detect.hpp"
#include "every_file.hpp"
#include "explainer.hpp"
#include "frames.hpp"
#include "options.hpp"
#include "segment.hpp"
#include "warnings.hpp"
#include "support/detector_file.hpp"
#include "support/errors.hpp"
#include "support/inputs.hpp"
#include "support/labels.hpp"
#include "support/methods.hpp"
#include "support/model_file.hpp"
#include "support/program.hpp"
#include "support/signature.hpp"

namespace sg = sightglass;

namespace {

void list_methods() {
  for (const support::Method& method : support::methods())
    std::printf("%-21s %s\n", method.name.c_str(), method.summary.c_str());
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t length : shape) text += (text.empty() ? "[" : ", ") + std::to_string(length);
  return text + "]";
}

void list_layers(const sg::Model& model, const torch::Tensor& input, const std::vector<std::string>& taken,
                 const std::string& reason) {
  const std::vector<sg::LayerInfo> layers = sg::layers(model, input);
  size_t name_width = 0, shape_width = 0;
  const auto shape_of = [](const sg::LayerInfo& layer) {
    return shape_text(layer.maps.empty() ? layer.shape : layer.maps);
  };
  for (const sg::LayerInfo& layer : layers) {
    name_width = std::max(name_width, layer.name.size());
    shape_width = std::max(shape_width, shape_of(layer).size());
  }
  for (const sg::LayerInfo& layer : layers) {
    const std::string given = (layer.maps.empty() ? "" : ", gives " + shape_text(layer.shape)) +
                              (layer.calls > 1 ? ", runs " + std::to_string(layer.calls) + " times" : "");
    const bool is_taken = std::find(taken.begin(), taken.end(), layer.name) != taken.end();
    std::printf("%-*s  %-*s  %s%s%s\n", static_cast<int>(name_width), layer.name.c_str(), static_cast<int>(shape_width),
                shape_of(layer).c_str(), layer.type.c_str(), given.c_str(),
                is_taken ? (", " + reason + "  <- taken without --layer").c_str() : "");
  }
}

/// The files to explain. A path that cannot be listed is left for whoever reads it to complain about.
std::vector<std::string> files_to_explain(const std::vector<std::string>& paths, std::vector<std::string>& complaints) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    try {
      for (std::string& file : support::files_of(path)) files.push_back(std::move(file));
    } catch (const std::exception& error) {
      complaints.push_back(support::one_line(error));
    }
  }
  return files;
}

int explain_all(const support::Options& options) {
  support::Warnings warnings;  // before the model is read, of which LibTorch warns too
  const support::ModelFile file = support::read_model(options.model);
  const torch::jit::Module& script = file.module;
  const support::FileNotes notes = support::notes_in(file);
  const support::Labels labels =
      options.labels.empty() ? support::Labels(notes.labels) : support::Labels::read(options.labels);
  support::Explainer explainer(script, options, labels, notes);
  support::FilePreparation said = support::preparation_in(script, notes);
  support::Preparation wanted = options.pictures.preparation(support::first_convolution(script), said.wanted);
  std::vector<std::string> complaints;
  std::vector<std::string> files = files_to_explain(options.inputs, complaints);
  support::EveryFile every_file(options, std::move(explainer), std::move(said), std::move(wanted), std::move(files));
  for (const std::string& warning : warnings.taken()) every_file.warn(warning);
  return every_file.run(complaints);
}

/// The first input of the command line, or else a black picture.
torch::Tensor input_to_list_with(const support::Options& options, const torch::jit::Module& script,
                                 const support::FileNotes& notes) {
  const support::Preparation wanted =
      options.pictures.preparation(support::first_convolution(script), support::preparation_in(script, notes).wanted);
  if (!options.inputs.empty())
    return support::read_input(options.inputs.front(), wanted, options.pictures.image()).batch;
  const auto [dimensions, channels] = wanted.convolution;
  const bool is_series = dimensions == 1, is_volume = dimensions == 3;
  TORCH_CHECK(!is_series && !is_volume, "model \"", options.model, "\": its first convolution is ", dimensions,
              "-D, the size of its input is not known; give a .npy array ", is_series ? "[C, L]" : "[C, D, H, W]",
              " beside it");
  return torch::zeros({1, channels > 0 ? channels : 3, wanted.height, wanted.width});
}

int run(const support::Options& options) {
  if (options.list_methods) {
    list_methods();
    return support::all_well;
  }
  if (!options.list_layers) return explain_all(options);
  const support::ModelFile file = support::read_model(options.model);
  const torch::jit::Module& script = file.module;
  const support::FileNotes notes = support::notes_in(file);
  const support::Task task = support::task_called(options.task, support::Serves::places);
  const support::ModelInputs inputs =
      support::inputs_of(script, options, support::FurtherInput(script, options, notes), notes);
  sg::Model model = support::model_of(inputs, options.output);
  const auto detector = support::Detector::of(script, model, notes, task, options.score);
  if (detector) model = detector->model();
  const torch::Tensor typed = input_to_list_with(options, script, notes).to(support::type_of(script));
  std::string reason;
  try {
    std::vector<std::string> taken;
    sg::Suggestion suggestion{"", "a map that boxes are made of", ""};
    if (const auto frames = support::folded_frames(model, {}, typed)) {
      const support::Frames video(inputs, options.output, typed, *frames);
      taken.push_back(sg::suggest(video.model(), video.frames()).layer);
      list_layers(video.model(), video.frames(), taken, "the last map of frames");
      return support::all_well;
    }
    if (detector)
      for (const sg::Layer& level : detector->levels(typed)) taken.push_back(level.name());
    else
      taken.push_back((suggestion = options.further.empty() ? support::suggested(model, typed, task)
                                                            : support::suggested_seeing(model, typed, task))
                          .layer);
    list_layers(model, typed, taken, suggestion.reason);
    return support::all_well;
  } catch (const std::exception& error) {
    reason = support::one_line(error) + support::about_dimensions(script, typed);
  }
  C10_THROW_ERROR(Error, reason);
}

}  // namespace

int main(int argc, char** argv) {
  support::Options options;
  const auto command_line = support::command_line(options);
  return support::run_program("explain", *command_line, argc, argv, [&] {
    support::check_complete(options);
    return run(options);
  });
}
