#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "calls.hpp"
#include "detect.hpp"
#include "frames.hpp"
#include "options.hpp"
#include "run.hpp"
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

/// A model, and what the command line asks of it: layers, methods, classes. The first input that it takes settles what
/// it and the options leave open: layers, precision.
class AskedModel {
 public:
  /// @param script in evaluation mode
  /// @param notes what its file says of it
  /// Throws `UsageError` for an unknown layer, method, class or task, and where inputs are missing.
  AskedModel(const torch::jit::Module& script, const Options& options, const Labels& labels, const FileNotes& notes)
      : script_(script),
        calls_(script, options, notes),
        model_(model_of(calls_.inputs(), options.output)),
        labels_(labels),
        task_(task_called(options.task, Serves::places)),
        output_(options.output) {
    type_ = type_of(script);
    detector_ = Detector::of(script, model_, notes, task_, options.score);
    if (detector_) model_ = detector_->model();
    for (const std::string& name : options.layers) layers_.push_back(layer_called(name));
    for (const std::string& name : options.methods) methods_.push_back(&method_called(name));
    if (detector_ && options.call) {
      if (layers_.empty()) throw UsageError("--call: the layers of its own choice run once; name another by --layer");
      for (sightglass::Layer& layer : layers_) layer = layer.call(*options.call);
    }
    if (detector_) methods_ = methods_or("layer-cam");
    for (const std::string& text : options.targets) classes_.push_back(labels_.index(text));
  }

  /// On the CPU, LibTorch lacks many an operation in half precision: then the model is computed in float32, and it is
  /// said. Throws `c10::Error` where the model cannot take the input; `UsageError` where it has no such class.
  Run run(const Input& given) {
    if (settled_ || (type_ != torch::kHalf && type_ != torch::kBFloat16)) return run_as_it_is(given);
    const std::string type = c10::toString(type_);
    std::string lacking, reason;
    try {
      Run found = run_as_it_is(given);
      const std::vector<std::string> failures = failures_of(found.answers);
      if (failures.empty()) return found;
      lacking = failures.front();
    } catch (const c10::Error& error) {
      lacking = one_line(error);
    }
    try {
      script_.to(torch::kFloat);  // in place: `model_` and its layers are of these parameters
      type_ = torch::kFloat;
      Run found = run_as_it_is(given);
      warnings_.push_back("the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                          "): computed in float32");
      return found;
    } catch (const c10::Error& error) {
      reason = one_line(error);
    }
    C10_THROW_ERROR(Error, "the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                               "), nor can it in float32 (" + reason + "); export it as model.float()");
  }

  /// Whether the model folds the frames of these videos into its batch; found out once.
  bool folds_frames(const torch::Tensor& video) {
    if (!frames_known_ && !detector_ && video.dim() == 5) {
      frames_ = folded_frames(model_, layers_, video.slice(0, 0, 1).to(type_));
      frames_known_ = true;
    }
    return frames_.has_value();
  }

  const std::optional<Detector>& detector() const { return detector_; }
  const std::vector<sightglass::Layer>& layers() const { return layers_; }
  const Method& first_method() const { return *methods_.front(); }
  /// Which of a layer's calls was explained.
  std::optional<size_t> call_of(const std::string& layer) const { return calls_.of(layer); }

  /// What there is to say of the last input.
  std::vector<std::string> take_warnings() { return std::exchange(warnings_, {}); }

  /// What it has succeeded with is not tried again.
  void settle() { settled_ = true; }
  bool is_settled() const { return settled_; }

  /// For many pictures: what lies before the layers runs in a faster form from the second of the next on.
  void optimise() { model_ = model_.optimised(); }

 private:
  sightglass::Layer layer_called(const std::string& name) const {
    try {
      return model_.layer(name);
    } catch (const c10::Error& error) {
      throw UsageError(one_line(error));
    }
  }

  void suggest_layer(const torch::Tensor& batch) {
    const bool alone = calls_.inputs().others().empty();
    const sightglass::Suggestion suggestion =
        alone ? suggested(model_, batch, task_) : suggested_seeing(model_, batch, task_);
    layers_.push_back(model_.layer(suggestion.layer));
    if (!suggestion.warning.empty()) warnings_.push_back(suggestion.warning);
  }

  Run run_as_it_is(const Input& given) {
    const torch::Tensor input = given.batch.to(type_);
    std::string reason;
    try {
      if (detector_) return detect(input);
      if (folds_frames(input)) return explain_frames(given);
      if (layers_.empty()) suggest_layer(input);
      layers_ = calls_.choose(model_, layers_, input);
      if (!calls_.sees_another()) return run_on(model_, given);
      Input seen = calls_.input_seen(given.batch);
      Run found = run_on(calls_.model_beside(input), seen);
      found.seen = std::move(seen);
      return found;
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      reason = about_export(one_line(error)) + about_input(input);
    }
    C10_THROW_ERROR(Error, reason);
  }

  bool runs_on(const torch::Tensor& input) const {
    try {
      const torch::NoGradGuard no_gradients;
      return model_.forward(input).defined();
    } catch (const std::exception&) {
      return false;
    }
  }

  /// For what failed: where the model takes inputs of other dimensions, what to give; else nothing.
  std::string about_input(const torch::Tensor& input) const {
    if (runs_on(input)) return "";
    if (input.dim() != 4 || !runs_on(input.unsqueeze(0))) return about_dimensions(script_, input);
    return "; it takes videos: give a .npy array [1, T, C, H, W] (or [1, C, T, H, W]), T frames";
  }

  /// Of one video, a map for each of its frames.
  Run explain_frames(const Input& given) {
    const torch::Tensor input = given.batch.to(type_);
    Frames video(calls_.inputs(), output_, input, *frames_);
    if (layers_.empty()) layers_.push_back(model_.layer(sightglass::suggest(video.model(), video.frames()).layer));
    layers_ = calls_.choose(model_, layers_, input);
    video.check_rows(layers_);
    const sightglass::Pass pass(video.model(), video.frames(), layers_);
    video.close();
    for (std::string& line : calls_.told_of(pass)) warnings_.push_back(std::move(line));
    Run run = classify(pass);
    for (Answer& answer : run.answers)
      if (answer.explanation) answer.explanation = Frames::as_one(*answer.explanation);
    run.seen = video.shown(given);
    return run;
  }

  /// Of what the model is a function of.
  Run run_on(const sightglass::Model& model, const Input& given) {
    const torch::Tensor input = given.batch.to(type_);
    const sightglass::Pass pass(model, input, layers_);
    for (std::string& line : calls_.told_of(pass)) warnings_.push_back(std::move(line));
    const bool segments = is_segmentation(pass.output(), input);
    if (task_ == Task::segment && !segments)
      throw UsageError(c10::str("--task segment: the model gives ", pass.output().sizes(),
                                ", expected a score for each class and place, [N, classes, H, W]"));
    return segments && (task_ == Task::unknown || task_ == Task::segment) ? segment(pass, given) : classify(pass);
  }

  /// Of scores of whole pictures.
  Run classify(const sightglass::Pass& pass) {
    const torch::Tensor output = pass.output();
    const int64_t dims = output.dim();
    TORCH_CHECK(dims == 1 || dims == 2, "the model gives ", output.sizes(),
                ", expected one score a class, [N, classes]",
                dims > 3    ? "; maps of scores, [N, classes, H, W], are --task segment"
                : dims == 3 ? "; boxes with their scores, [N, 4 + classes, boxes], are --task detect"
                            : "");
    check_labels(dims == 1 ? 1 : output.size(1));
    std::vector<Question> questions;
    if (dims == 1) questions.push_back({sightglass::Target([](const torch::Tensor& scores) { return scores; })});
    for (const int64_t index : dims == 1 ? std::vector<int64_t>() : classes_) {
      check_class(index, output.size(1));
      questions.push_back({index});
    }
    if (questions.empty()) questions.emplace_back();
    Run run{dims == 1 ? output.unsqueeze(1) : output, answer_all(pass, methods_or("grad-cam"), questions)};
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
    run.answers = answer_all(pass, methods_or("layer-cam"), questions);
    return run;
  }

  /// Of boxes: a map for each of the things found, from the run that found them.
  Run detect(const torch::Tensor& input) {
    detector_->look_at(input);
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

  /// The methods that are named, or else this one. Of places, and of boxes, it is layer-cam: grad-cam's weights are
  /// means over the whole picture, and mark the other objects in it too.
  std::vector<const Method*> methods_or(const char* name) const {
    return methods_.empty() ? std::vector<const Method*>{&method_called(name)} : methods_;
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
  CallChoice calls_;
  sightglass::Model model_;
  std::optional<Detector> detector_;
  Labels labels_;
  Task task_;
  std::string output_;                    // the path of the one that is explained
  std::optional<ModelEnd> end_;           // found out where it is needed
  c10::ScalarType type_ = torch::kFloat;  // of the model's weights, and so of its input
  bool frames_known_ = false;
  std::optional<int64_t> frames_;  // the dimension of a video's frames that are folded into the batch; none: not folded
  bool settled_ = false;
  std::vector<std::string> warnings_;  // of this input, again for each
  std::vector<sightglass::Layer> layers_;
  std::vector<sightglass::Layer> levels_;  // of a detector, where no layers are named; found at the first picture
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
};

}  // namespace support
