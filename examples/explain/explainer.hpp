#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "detect.hpp"
#include "options.hpp"
#include "result_maker.hpp"
#include "segment.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"
#include "support/labels.hpp"
#include "support/methods.hpp"
#include "support/model_end.hpp"
#include "support/model_inputs.hpp"
#include "support/signature.hpp"

namespace support {

/// The model as the command line asks for it: a function of the picture that gives the output to explain.
inline sightglass::Model model_of(const torch::jit::Module& script, const Options& options) {
  const sightglass::Model model = ModelInputs(script, options.model, options.further).model();
  return options.output.empty() ? model : model.output(options.output);
}

/// Explains pictures at the layers, by the methods and for the targets that the command line names.
class Explainer {
 public:
  /// @param script in evaluation mode
  /// @param notes what its file says of it
  /// Throws `UsageError` for an unknown layer, method, class or task, and where inputs are missing.
  Explainer(const torch::jit::Module& script, const Options& options, const Labels& labels, const FileNotes& notes)
      : script_(script),
        model_(model_of(script, options)),
        labels_(labels),
        task_(task_called(options.task, Serves::places)),
        output_(options.output),
        calls_known_(options.further.empty()),
        make_(options, labels) {
    type_ = type_of(script);
    detector_ = Detector::of(script, model_, notes, task_, options.score);
    if (detector_) model_ = detector_->model();
    for (const std::string& name : options.layers) layers_.push_back(layer_called(name));
    for (const std::string& name : options.methods) methods_.push_back(&method_called(name));
    if (methods_.empty()) methods_.push_back(&method_called(detector_ ? "layer-cam" : "grad-cam"));
    for (const std::string& text : options.targets) classes_.push_back(labels_.index(text));
  }

  /// Explains each of the input's pictures. The first input that succeeds settles what the model and the options leave
  /// open: layers, precision. Copies made afterwards may explain at once, each in a thread of its own.
  /// Throws `c10::Error` where the model cannot take the input; `UsageError` where it has no such class.
  std::vector<Result> explain(const Input& input) {
    std::vector<Result> results;
    if (detector_ && input.batch.size(0) > 1) {
      for (size_t i = 0; i < static_cast<size_t>(input.batch.size(0)); ++i) results.push_back(explain_alone(input, i));
      return results;
    }
    const Run run = run_in_any_precision(input);
    const bool one_by_one = run.segmentation && input.batch.size(0) > 1;  // a region is of one picture
    for (int64_t i = 0; i < input.batch.size(0); ++i) {
      const auto number = static_cast<size_t>(i);
      results.push_back(one_by_one ? explain_alone(input, number)
                                   : result_of({input, number, i, run.output.size(1)}, run));
    }
    if (!one_by_one) results.front().failures = failures_of(run.answers);
    results.front().warnings = std::exchange(warnings_, {});
    settled_ = settled_ || results.front().failures.empty();
    return results;
  }

  /// Whether an input has succeeded.
  bool is_settled() const { return settled_; }

  /// For many pictures: what lies before the layers runs in a faster form from the second of the next on.
  void optimise() { model_ = model_.optimised(); }

 private:
  /// What the model gives, and what the methods say.
  struct Run {
    torch::Tensor output;  // [N, outputs], or of a segmenter [N, classes, *S]
    std::vector<Answer> answers;
    Figures figures = {};
    std::optional<Segmentation> segmentation = {};
    std::vector<sightglass::Detection> detections = {};
  };

  Result result_of(const Picture& picture, const Run& run) const {
    Result result;
    result.image = picture.input.path;
    result.index = picture.index();
    result.overview = detector_          ? detector_->overview(run.detections, labels_)
                      : run.segmentation ? run.segmentation->overview(labels_)
                                         : top_five(run.figures, picture.row, labels_);
    if (detector_ && run.answers.empty()) {
      const std::string layer = layers_.empty() ? "" : layers_.front().name();
      make_.add_nothing(picture, layer, methods_.front()->name, result);
    }
    const auto explained = [](const Answer& answer) { return answer.explanation.has_value(); };
    if (std::any_of(run.answers.begin(), run.answers.end(), explained))
      make_.add(picture, run.answers, run.figures, result);
    return result;
  }

  /// One picture of several; what fails is told, and the others are explained.
  Result explain_alone(const Input& input, size_t number) {
    try {
      const Run run = run_in_any_precision(one_of(input, number));
      Result result = result_of({input, number, 0, run.output.size(1)}, run);
      result.failures = failures_of(run.answers);
      return result;
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      Result result;
      result.failures.push_back("number " + std::to_string(number) + ": " + one_line(error));
      return result;
    }
  }

  sightglass::Layer layer_called(const std::string& name) const {
    try {
      return model_.layer(name);
    } catch (const c10::Error& error) {
      throw UsageError(one_line(error));
    }
  }

  void suggest_layer(const torch::Tensor& batch) {
    const sightglass::Suggestion suggestion = suggested(model_, batch, task_);
    layers_.push_back(model_.layer(suggestion.layer));
    if (!suggestion.warning.empty()) warnings_.push_back(suggestion.warning);
  }

  /// A layer that runs for each of several inputs is explained at its last call, which may not be the picture's.
  void warn_of_calls(const torch::Tensor& batch) {
    for (const sightglass::LayerInfo& layer : sightglass::layers(model_, batch)) {
      const auto is_it = [&](const sightglass::Layer& chosen) { return chosen.name() == layer.name; };
      if (layer.calls > 1 && std::any_of(layers_.begin(), layers_.end(), is_it))
        warnings_.push_back("layer \"" + layer.name + "\" runs " + std::to_string(layer.calls) +
                            " times; the map is of its last run, which may be for another input than the picture");
    }
  }

  Run run(const Input& given) {
    const torch::Tensor input = given.batch.to(type_);
    std::string reason;
    try {
      if (detector_) return detect(input);
      if (layers_.empty()) suggest_layer(input);
      if (!std::exchange(calls_known_, true)) warn_of_calls(input);
      const sightglass::Pass pass(model_, input, layers_);
      const bool segments = is_segmentation(pass.output(), input);
      if (task_ == Task::segment && !segments)
        throw UsageError(c10::str("--task segment: the model gives ", pass.output().sizes(),
                                  ", expected a score for each class and place, [N, classes, H, W]"));
      return segments && (task_ == Task::unknown || task_ == Task::segment) ? segment(pass, given) : classify(pass);
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      reason = about_export(one_line(error)) + about_dimensions(script_, input);
    }
    C10_THROW_ERROR(Error, reason);
  }

  /// On the CPU, LibTorch lacks many an operation in half precision: then the model is computed in float32, and it is
  /// said.
  Run run_in_any_precision(const Input& given) {
    if (settled_ || (type_ != torch::kHalf && type_ != torch::kBFloat16)) return run(given);
    const std::string type = c10::toString(type_);
    std::string lacking, reason;
    try {
      Run found = run(given);
      const std::vector<std::string> failures = failures_of(found.answers);
      if (failures.empty()) return found;
      lacking = failures.front();
    } catch (const c10::Error& error) {
      lacking = one_line(error);
    }
    try {
      script_.to(torch::kFloat);  // in place: `model_` and its layers are of these parameters
      type_ = torch::kFloat;
      Run found = run(given);
      warnings_.push_back("the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                          "): computed in float32");
      return found;
    } catch (const c10::Error& error) {
      reason = one_line(error);
    }
    C10_THROW_ERROR(Error, "the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                               "), nor can it in float32 (" + reason + "); export it as model.float()");
  }

  /// Of scores of whole pictures.
  Run classify(const sightglass::Pass& pass) {
    const torch::Tensor output = pass.output();
    const int64_t dims = output.dim();
    TORCH_CHECK(dims == 1 || dims == 2, "the model gives ", output.sizes(),
                ", expected one score a class, [N, classes]",
                dims > 3    ? "; maps of scores, [N, classes, H, W], are --task segment"
                : dims == 3 ? "; in C++, of boxes: sightglass::Target::box"
                            : "");
    check_labels(dims == 1 ? 1 : output.size(1));
    std::vector<Question> questions;
    if (dims == 1) questions.push_back({sightglass::Target([](const torch::Tensor& scores) { return scores; })});
    for (const int64_t index : dims == 1 ? std::vector<int64_t>() : classes_) {
      check_class(index, output.size(1));
      questions.push_back({index});
    }
    if (questions.empty()) questions.emplace_back();
    Run run{dims == 1 ? output.unsqueeze(1) : output, answer_all(pass, methods_, questions)};
    const bool needs_end = task_ != Task::unknown && task_ != Task::regress;
    run.figures = figures_of(output, task_, needs_end ? end() : ModelEnd::unknown);
    if (!run.figures.doubt.empty()) warnings_.push_back(run.figures.doubt);
    return run;
  }

  /// Of scores of places; several pictures are told to be such, and not explained.
  Run segment(const sightglass::Pass& pass, const Input& given) {
    const torch::Tensor output = pass.output();
    Run run{output, {}};
    check_labels(output.size(1));
    run.segmentation.emplace(output, output.size(1) == 1 ? end() : ModelEnd::unknown, shown_in(given, output));
    if (output.size(0) > 1) return run;
    std::vector<Question> questions;
    for (const int64_t index : classes_) {
      check_class(index, output.size(1));
      questions.push_back(run.segmentation->question(index));
    }
    if (questions.empty()) questions.push_back(run.segmentation->question(run.segmentation->largest()));
    run.answers = answer_all(pass, methods_, questions);
    return run;
  }

  /// Of boxes: a map for each of the things found, from the run that found them.
  Run detect(const torch::Tensor& input) {
    if (layers_.empty() && levels_.empty()) levels_ = detector_->levels(input);
    const sightglass::Pass pass(model_, input, layers_.empty() ? levels_ : layers_);
    Run run{torch::empty({1, 2}), {}};
    run.detections = detector_->found_in(pass.output());
    const auto is_asked = [this](const sightglass::Detection& found) {
      return classes_.empty() || std::find(classes_.begin(), classes_.end(), found.label) != classes_.end();
    };
    std::vector<Question> questions;
    for (size_t i = 0; i < run.detections.size() && questions.size() < Detector::most; ++i) {
      const sightglass::Detection& found = run.detections[i];
      if (is_asked(found)) questions.push_back({found.target, found.label, {}, Finding{found, i}});
    }
    run.answers = layers_.empty() ? answer_fused(pass, methods_, questions) : answer_all(pass, methods_, questions);
    return run;
  }

  ModelEnd end() {
    if (!end_) end_ = end_of(script_, output_);
    return *end_;
  }

  static void check_class(int64_t index, int64_t count) {
    if (index >= count)
      throw UsageError("target " + std::to_string(index) + ": no such class; the model has " + std::to_string(count) +
                       ", 0 to " + std::to_string(count - 1));
  }

  void check_labels(int64_t count) {
    if (labels_.size() > 0 && static_cast<int64_t>(labels_.size()) != count)
      warnings_.push_back("the labels are " + std::to_string(labels_.size()) + ", the model's classes " +
                          std::to_string(count) + ": are they of this model?");
  }

  torch::jit::Module script_;
  sightglass::Model model_;
  std::optional<Detector> detector_;
  Labels labels_;
  Task task_;
  std::string output_;                    // the path of the one that is explained
  std::optional<ModelEnd> end_;           // found out where it is needed
  c10::ScalarType type_ = torch::kFloat;  // of the model's weights, and so of its input
  bool calls_known_;                      // only several inputs are looked at
  bool settled_ = false;
  std::vector<std::string> warnings_;  // of this input, again for each
  std::vector<sightglass::Layer> layers_;
  std::vector<sightglass::Layer> levels_;  // of a detector, where no layers are named; found at the first picture
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
  ResultMaker make_;
};

}  // namespace support
