#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
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
    if (layers_.empty()) layers_.push_back(model_.layer(sightglass::suggest_layer(model_, input.batch)));
    const sightglass::Pass pass(model_, input.batch, layers_);
    check_classes(pass.output());
    const torch::Tensor probabilities = pass.output().to(torch::kDouble).softmax(1);

    std::vector<std::string> failures;
    const std::vector<Answer> answers = answer_all(pass, failures);
    std::vector<Result> results;
    for (size_t i = 0; i < input.photos.size(); ++i) {
      const std::string index = input.photos.size() > 1 ? std::to_string(i) : "";
      Result result{"", probabilities[static_cast<int64_t>(i)], {}, {}};
      if (i == 0) result.failures = failures;
      if (!answers.empty()) write(input, i, index, answers, result, outputs);
      results.push_back(std::move(result));
    }
    return results;
  }

 private:
  /// What one method says of all pictures at one layer, for one target.
  struct Answer {
    std::string layer;
    const Method* method;
    sightglass::Explanation explanation;
  };

  sightglass::Layer layer_called(const std::string& name) const {
    try {
      return model_.layer(name);
    } catch (const c10::Error& error) {
      throw UsageError(one_line(error));
    }
  }

  void check_classes(const torch::Tensor& output) const {
    TORCH_CHECK(output.dim() == 2, "the model gives ", output.sizes(), "; expected one score a class, [N, classes]");
    for (const int64_t index : classes_)
      if (index >= output.size(1))
        throw UsageError("target " + std::to_string(index) + ": no such class; the model has " +
                         std::to_string(output.size(1)) + ", from 0");
  }

  std::vector<Answer> answer_all(const sightglass::Pass& pass, std::vector<std::string>& failures) const {
    std::vector<Answer> answers;
    for (size_t layer = 0; layer < layers_.size(); ++layer)
      for (const Method* method : methods_)
        for (const sightglass::Target& target : targets_) {
          try {
            answers.push_back({pass.layer_name(layer), method, method->explain(pass, layer, target)});
          } catch (const c10::Error& error) {
            failures.push_back(method->name + ": " + one_line(error));
          }
        }
    return answers;
  }

  Record record_of(const Answer& answer, int64_t i, const cv::Size& size, const torch::Tensor& probabilities) const {
    Record record;
    record.layer = answer.layer;
    record.method = answer.method->name;
    record.target = answer.explanation.targets()[i].item<int64_t>();
    record.label = labels_.name(record.target);
    record.score = answer.explanation.scores()[i].item<double>();
    record.probability = probabilities[record.target].item<double>();
    record.peak = answer.explanation.peak(i, size.height, size.width);
    record.status = sightglass::to_string(answer.explanation.status(i));
    return record;
  }

  /// Writes what the answers say of picture number `i`.
  void write(const Input& input, size_t i, const std::string& index, const std::vector<Answer>& answers, Result& result,
             Outputs& outputs) const {
    const cv::Mat& photo = input.photos[i];
    result.picture = outputs.picture(input.path, index).string();
    std::vector<sightglass::Tile> tiles{{photo, "the picture"}};
    for (const Answer& answer : answers) {
      Record record = record_of(answer, static_cast<int64_t>(i), photo.size(), result.probabilities);
      record.image = input.path;
      record.index = index;
      record.picture = result.picture;
      const torch::Tensor map = answer.explanation.map(static_cast<int64_t>(i));
      if (outputs.wants_maps()) {
        const fs::path path = outputs.map(input.path, index, parts_of(record));
        write_whole(path, npy_bytes(map.unsqueeze(0)));
        record.map = path.string();
      }
      tiles.push_back({sightglass::overlay(photo, map.nan_to_num(0, 0, 0), style_), caption_of(record)});
      result.records.push_back(std::move(record));
    }
    write_picture(result.picture, tiles.size() == 2 ? tiles.back().picture : grid_of(tiles));
  }

  static cv::Mat grid_of(const std::vector<sightglass::Tile>& tiles) {
    constexpr int most = 640;  // pixels of a tile's longer side: a grid of photographs would be too large to look at
    const cv::Size size = tiles.front().picture.size();
    const double scale = std::min(1.0, static_cast<double>(most) / std::max(size.width, size.height));
    const cv::Size cell(std::max(1, cvRound(size.width * scale)), std::max(1, cvRound(size.height * scale)));
    return sightglass::grid(tiles, sightglass::GridOptions().cell(cell));
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
  sightglass::OverlayOptions style_;
  std::vector<sightglass::Layer> layers_;
  std::vector<const Method*> methods_;
  std::vector<int64_t> classes_;
  std::vector<sightglass::Target> targets_;
};

}  // namespace support
