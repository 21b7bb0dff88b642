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

#include "options.hpp"
#include "outputs.hpp"
#include "report.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"
#include "support/labels.hpp"
#include "support/methods.hpp"
#include "support/model_end.hpp"
#include "support/signature.hpp"

namespace support {

/// What has been found out about one picture. Its files are written.
struct Result {
  std::string picture;                // the file
  Figures figures;                    // of all pictures of the input
  int64_t number = 0;                 // of this picture in the input
  std::vector<Record> records;        // one for each layer, method and target
  std::vector<std::string> failures;  // what could not be explained, a line each
  std::vector<std::string> warnings;  // what may be a mistake, a line each
};

/// Explains pictures at the layers, by the methods and for the targets that the command line names.
class Explainer {
 public:
  /// Throws `UsageError` for an unknown layer, method, class or task, `c10::Error` for a model of several inputs or
  /// outputs.
  /// @param script in evaluation mode; `path` names it in messages.
  Explainer(const torch::jit::Module& script, const Options& options, Labels labels)
      : script_(script), model_(script), labels_(std::move(labels)), task_(task_called(options.task)) {
    check_signature(script, options.model);
    if (task_ != Task::unknown && task_ != Task::regress) end_ = end_of(script);
    type_ = type_of(script);
    style_.alpha(options.alpha).colour_map(sightglass::colour_map(options.colour_map));
    for (const std::string& name : options.layers) layers_.push_back(layer_called(name));
    for (const std::string& name : options.methods) methods_.push_back(&method_called(name));
    if (methods_.empty()) methods_.push_back(&method_called("grad-cam"));
    for (const std::string& text : options.targets) classes_.push_back(labels_.index(text));
    for (const int64_t index : classes_) targets_.emplace_back(index);
    if (targets_.empty()) targets_.emplace_back();
  }

  /// Explains each of the input's pictures.
  /// Throws `c10::Error` where the model cannot take the input, `UsageError` where it has no such class.
  std::vector<Result> explain(const Input& input, Outputs& outputs) {
    const Run run = run_in_any_precision(input.batch);
    const Figures figures = figures_of(run.output, task_, end_);
    if (!figures.doubt.empty() && !doubted_) warnings_.push_back(figures.doubt);
    doubted_ = doubted_ || !figures.doubt.empty();
    const bool any =
        std::any_of(run.answers.begin(), run.answers.end(), [](const Answer& a) { return a.explanation.has_value(); });

    std::vector<Result> results;
    for (size_t i = 0; i < input.photos.size(); ++i) {
      Result result;
      result.figures = figures;
      result.number = static_cast<int64_t>(i);
      if (any) write({input, i}, run.answers, result, outputs);
      results.push_back(std::move(result));
    }
    results.front().failures = failures_of(run.answers);
    results.front().warnings = std::exchange(warnings_, {});
    return results;
  }

 private:
  /// What one method says of all pictures at one layer, for one target: an explanation, or why there is none.
  struct Answer {
    std::string layer;
    const Method* method;
    std::optional<sightglass::Explanation> explanation;
    std::string failure;
  };

  /// What the model gives, and what the methods say.
  struct Run {
    torch::Tensor output;
    std::vector<Answer> answers;
  };

  /// One picture of an input.
  struct Picture {
    const Input& input;
    size_t number;
    std::string index() const { return input.photos.size() > 1 ? std::to_string(number) : ""; }
    const cv::Mat& photo() const { return input.photos[number]; }
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

  static std::vector<std::string> failures_of(const std::vector<Answer>& answers) {
    std::vector<std::string> failures;
    for (const Answer& answer : answers) {
      const std::string line = answer.method->name + " at " + answer.layer + ": " + answer.failure;
      const bool said = std::find(failures.begin(), failures.end(), line) != failures.end();
      if (!answer.explanation && !said) failures.push_back(line);
    }
    return failures;
  }

  /// A map of one value is drawn blank, whatever the value.
  static std::string suspicion_of(const torch::Tensor& map) {
    if (map.numel() == 1) return "the layer has one place alone, so that it points nowhere; name an earlier --layer";
    const double low = map.min().item<double>(), high = map.max().item<double>();
    return high - low <= 1e-6 * std::abs(high) ? "it is the same everywhere, so that it points nowhere" : "";
  }

  Record record_of(const Answer& answer, const Picture& picture, const Result& result) const {
    const auto i = static_cast<int64_t>(picture.number);
    const sightglass::Explanation& explanation = *answer.explanation;
    Record record;
    record.image = picture.input.path;
    record.index = picture.index();
    record.layer = answer.layer;
    record.method = answer.method->name;
    record.target = std::max<int64_t>(0, explanation.targets()[i].item<int64_t>());  // of one output, the first
    record.label = labels_.name(record.target);
    record.title = title_of(record.target, result.figures.scores.size(1), labels_);
    record.score = explanation.scores()[i].item<double>();
    record.probability = probability_of(result.figures, i, record.target);
    record.peak = explanation.peak(i, picture.photo().rows, picture.photo().cols);
    record.status = sightglass::to_string(explanation.status(i));
    record.suspicion = suspicion_of(explanation.map(i));
    record.picture = result.picture;
    return record;
  }

  /// Writes what the answers say of a picture, and notes it in `result`.
  void write(const Picture& picture, const std::vector<Answer>& answers, Result& result, Outputs& outputs) const {
    result.picture = outputs.picture(picture.input.path, picture.index()).string();
    std::vector<sightglass::Tile> tiles;
    for (const Answer& answer : answers) {
      if (!answer.explanation) {
        tiles.push_back({{}, answer.method->name + ", " + answer.layer + ": failed"});
        continue;
      }
      Record record = record_of(answer, picture, result);
      const torch::Tensor map = answer.explanation->map(static_cast<int64_t>(picture.number));
      if (outputs.wants_maps()) {
        const fs::path path = outputs.map(record.image, record.index, parts_of(record));
        write_whole(path, npy_bytes(map.unsqueeze(0)));
        record.map = path.string();
      }
      tiles.push_back({sightglass::overlay(picture.photo(), map.nan_to_num(0, 0, 0), style_), caption_of(record)});
      result.records.push_back(std::move(record));
    }
    write_picture(result.picture, tiles.size() == 1 ? tiles.front().picture : grid_of(picture.photo(), tiles));
  }

  /// The photo, and beside it what belongs together in rows: targets, or else methods, or else layers.
  cv::Mat grid_of(const cv::Mat& photo, const std::vector<sightglass::Tile>& tiles) const {
    const size_t columns = targets_.size() > 1   ? targets_.size()
                           : methods_.size() > 1 ? methods_.size()
                                                 : std::min<size_t>(4, tiles.size());
    std::vector<sightglass::Tile> all;
    for (size_t i = 0; i < tiles.size(); ++i) {
      if (i == 0) all.push_back({photo, "the picture"});
      if (i > 0 && i % columns == 0) all.emplace_back();
      all.push_back(tiles[i]);
    }
    // Of a tile, in pixels: room for its text, and no more than one looks at.
    const int longer = std::max(photo.cols, photo.rows), shown = std::clamp(longer, 320, 640);
    const double scale = static_cast<double>(shown) / longer;
    const cv::Size cell(std::max(1, cvRound(photo.cols * scale)), std::max(1, cvRound(photo.rows * scale)));
    return sightglass::grid(all, sightglass::GridOptions().columns(static_cast<int>(columns) + 1).cell(cell));
  }

  /// What tells the record from the picture's others, for a file's name.
  std::string parts_of(const Record& record) const {
    std::string parts;
    if (layers_.size() > 1) parts += "_" + record.layer;
    if (methods_.size() > 1) parts += "_" + record.method;
    if (targets_.size() > 1) parts += "_" + std::to_string(record.target);
    return parts;
  }

  std::string caption_of(const Record& record) const {
    std::string caption = record.title;
    if (methods_.size() > 1) caption += ", " + record.method;
    if (layers_.size() > 1) caption += ", " + record.layer;
    if (record.status != "ok") return caption + ": " + record.status;
    return record.suspicion.empty() ? caption : caption + ": the same everywhere";
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
  sightglass::OverlayOptions style_;
  std::vector<sightglass::Layer> layers_;
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
  std::vector<sightglass::Target> targets_;
};

}  // namespace support
