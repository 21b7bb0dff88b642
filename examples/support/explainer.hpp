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

#include "errors.hpp"
#include "inputs.hpp"
#include "labels.hpp"
#include "methods.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "report.hpp"

namespace support {

/// What has been found out about one picture. Its files are written.
struct Result {
  std::string picture;                // the file
  torch::Tensor probabilities;        // [classes]
  std::vector<Record> records;        // one for each layer, method and target
  std::vector<std::string> failures;  // what could not be explained, a line each
  std::vector<std::string> warnings;  // what may be a mistake, a line each
};

/// Explains pictures at the layers, by the methods and for the targets that the command line names.
class Explainer {
 public:
  /// @throws UsageError for an unknown layer, method or class.
  Explainer(sightglass::Model model, const Options& options, Labels labels)
      : model_(std::move(model)), labels_(std::move(labels)) {
    style_.alpha(options.alpha).colour_map(sightglass::colour_map(options.colour_map));
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
    if (layers_.empty()) suggest_layer(input.batch);
    const sightglass::Pass pass(model_, input.batch, layers_);
    check_classes(pass.output());
    const torch::Tensor probabilities = pass.output().to(torch::kDouble).softmax(1);

    const std::vector<Answer> answers = answer_all(pass);
    const bool any =
        std::any_of(answers.begin(), answers.end(), [](const Answer& a) { return a.explanation.has_value(); });

    std::vector<Result> results;
    for (size_t i = 0; i < input.photos.size(); ++i) {
      Result result;
      result.probabilities = probabilities[static_cast<int64_t>(i)];
      if (any) write({input, i}, answers, result, outputs);
      results.push_back(std::move(result));
    }
    results.front().failures = failures_of(answers);
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

  void check_classes(const torch::Tensor& output) {
    TORCH_CHECK(output.dim() == 2, "the model gives ", output.sizes(), "; expected one score a class, [N, classes]");
    const int64_t count = output.size(1);
    for (const int64_t index : classes_)
      if (index >= count)
        throw UsageError("target " + std::to_string(index) + ": no such class; the model has " + std::to_string(count) +
                         ", 0 to " + std::to_string(count - 1));
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

  Record record_of(const Answer& answer, const Picture& picture, const Result& result) const {
    const auto i = static_cast<int64_t>(picture.number);
    const sightglass::Explanation& explanation = *answer.explanation;
    Record record;
    record.image = picture.input.path;
    record.index = picture.index();
    record.layer = answer.layer;
    record.method = answer.method->name;
    record.target = explanation.targets()[i].item<int64_t>();
    record.label = labels_.name(record.target);
    record.score = explanation.scores()[i].item<double>();
    record.probability = result.probabilities[record.target].item<double>();
    record.peak = explanation.peak(i, picture.photo().rows, picture.photo().cols);
    record.status = sightglass::to_string(explanation.status(i));
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
    std::string caption = labels_.title(record.target);
    if (methods_.size() > 1) caption += ", " + record.method;
    if (layers_.size() > 1) caption += ", " + record.layer;
    return record.status == "ok" ? caption : caption + ": " + record.status;
  }

  sightglass::Model model_;
  Labels labels_;
  bool checked_ = false;  // whether the labels fit the model
  std::vector<std::string> warnings_;
  sightglass::OverlayOptions style_;
  std::vector<sightglass::Layer> layers_;
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
  std::vector<sightglass::Target> targets_;
};

}  // namespace support
