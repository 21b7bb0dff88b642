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
#include "options.hpp"
#include "outputs.hpp"
#include "writer.hpp"
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
  return ModelInputs(script, options.model, options.further).model().output(options.output);
}

/// Explains pictures at the layers, by the methods and for the targets that the command line names.
class Explainer {
 public:
  /// @param script in evaluation mode; `path` names it in messages.
  /// @throws UsageError for an unknown layer, method, class or task, and where inputs are missing.
  Explainer(const torch::jit::Module& script, const Options& options, const Labels& labels)
      : script_(script),
        model_(model_of(script, options)),
        labels_(labels),
        task_(task_called(options.task)),
        writer_(options, labels) {
    if (task_ != Task::untold && task_ != Task::regress) end_ = end_of(script, options.output);
    type_ = type_of(script);
    for (const std::string& name : options.layers) layers_.push_back(layer_called(name));
    for (const std::string& name : options.methods) methods_.push_back(&method_called(name));
    if (methods_.empty()) methods_.push_back(&method_called("grad-cam"));
    for (const std::string& text : options.targets) classes_.push_back(labels_.index(text));
    for (const int64_t index : classes_) targets_.emplace_back(index);
    if (targets_.empty()) targets_.emplace_back();
  }

  /// Explains each of the input's pictures.
  /// @throws c10::Error when the model cannot take the input; UsageError when it has no such class.
  std::vector<Result> explain(const Input& input, Outputs& outputs) {
    const Run run = run_in_any_precision(input.batch);
    const Figures figures = figures_of(run.output, task_, end_);
    if (!figures.doubt.empty() && !doubted_) warnings_.push_back(figures.doubt);
    doubted_ = doubted_ || !figures.doubt.empty();
    const bool any =
        std::any_of(run.answers.begin(), run.answers.end(), [](const Answer& a) { return a.explanation.has_value(); });

    std::vector<Result> results;
    for (size_t i = 0; i < static_cast<size_t>(input.batch.size(0)); ++i) {
      Result result;
      result.figures = figures;
      result.number = static_cast<int64_t>(i);
      if (any) writer_.write({input, i}, run.answers, result, outputs);
      results.push_back(std::move(result));
    }
    results.front().failures = failures_of(run.answers);
    results.front().warnings = std::exchange(warnings_, {});
    return results;
  }

 private:
  /// What the model gives, and what the methods say.
  struct Run {
    torch::Tensor output;
    std::vector<Answer> answers;
  };

  sightglass::Layer layer_called(const std::string& name) const {
    try {
      return model_.layer(name);
    } catch (const c10::Error& error) {
      throw UsageError(one_line(error));
    }
  }

  void suggest_layer(const torch::Tensor& batch) {
    const sightglass::Suggestion suggestion = sightglass::suggest(model_, batch);
    layers_.push_back(model_.layer(suggestion.layer));
    if (!suggestion.warning.empty()) warnings_.push_back(suggestion.warning);
  }

  Run run(const torch::Tensor& batch) {
    const torch::Tensor input = batch.to(type_);
    std::string reason;
    try {
      if (layers_.empty()) suggest_layer(input);
      const sightglass::Pass pass(model_, input, layers_);
      check_classes(pass.output(), batch.size(0));
      return {pass.output(), answer_all(pass)};
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      reason = one_line(error) + about_dimensions(script_, input);
    }
    C10_THROW_ERROR(Error, reason);
  }

  /// On the CPU, LibTorch lacks many an operation in half precision: then the model is computed in float32, and it is
  /// said.
  Run run_in_any_precision(const torch::Tensor& batch) {
    if (type_ != torch::kHalf && type_ != torch::kBFloat16) return run(batch);
    const std::string type = c10::toString(type_);
    std::string lacking, reason;
    try {
      Run found = run(batch);
      const std::vector<std::string> failures = failures_of(found.answers);
      if (failures.empty()) return found;
      lacking = failures.front();
    } catch (const c10::Error& error) {
      lacking = one_line(error);
    }
    try {
      script_.to(torch::kFloat);  // in place: `model_` and its layers are of these parameters
      type_ = torch::kFloat;
      Run found = run(batch);
      warnings_.push_back("the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                          "): computed in float32");
      return found;
    } catch (const c10::Error& error) {
      reason = one_line(error);
    }
    C10_THROW_ERROR(Error, "the model is of type " + type + ", in which LibTorch cannot run it on the CPU (" + lacking +
                               "), nor can it in float32 (" + reason + "); export it as model.float()");
  }

  void check_classes(const torch::Tensor& output, int64_t pictures) {
    const int64_t dims = output.dim();
    const bool one_each = dims == 1 && output.size(0) == pictures;
    TORCH_CHECK(dims == 2 || one_each, "the model gives ", output.sizes(), ", expected one score a class, [N, classes]",
                dims == 4   ? "; in C++, of maps of scores: sightglass::Target::segmentation"
                : dims == 3 ? "; in C++, of boxes: sightglass::Target::box"
                            : "");
    const int64_t count = one_each ? 1 : output.size(1);
    for (const int64_t index : classes_)
      if (index >= count)
        throw UsageError("target " + std::to_string(index) + ": no such class; the model has " + std::to_string(count) +
                         ", 0 to " + std::to_string(count - 1));
    if (one_each) targets_ = {sightglass::Target([](const torch::Tensor& scores) { return scores; })};
    const bool fits = labels_.size() == 0 || static_cast<int64_t>(labels_.size()) == count;
    if (!fits && !checked_)
      warnings_.push_back("the labels are " + std::to_string(labels_.size()) + ", the model's classes " +
                          std::to_string(count) + ": are they of this model?");
    checked_ = true;
  }

  /// Layer by layer, method by method, target by target.
  std::vector<Answer> answer_all(const sightglass::Pass& pass) const {
    std::vector<Answer> answers;
    for (size_t layer = 0; layer < layers_.size(); ++layer)
      for (const Method* method : methods_)
        for (const sightglass::Target& target : targets_) {
          Answer& answer = answers.emplace_back(Answer{pass.layer_name(layer), method, {}, {}});
          try {
            answer.explanation = method->explain(pass, layer, target);
          } catch (const std::exception& error) {
            answer.failure = one_line(error);
          }
        }
    return answers;
  }

  torch::jit::Module script_;
  sightglass::Model model_;
  Labels labels_;
  Task task_;
  ModelEnd end_ = ModelEnd::unknown;
  c10::ScalarType type_ = torch::kFloat;  // of the model's weights, and so of its input
  bool doubted_ = false;                  // whether it was said why there are no probabilities
  bool checked_ = false;                  // whether the labels fit the model
  std::vector<std::string> warnings_;
  std::vector<sightglass::Layer> layers_;
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
  std::vector<sightglass::Target> targets_;
  Writer writer_;
};

}  // namespace support
