#pragma once

#include <sightglass/opencv.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "answers.hpp"
#include "drawn.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "report.hpp"
#include "support/labels.hpp"

namespace support {

/// Makes records of what is found out about a picture, and draws it.
class ResultMaker {
 public:
  ResultMaker(const Options& options, Labels labels)
      : labels_(std::move(labels)),
        layers_(std::max<size_t>(1, options.layers.size())),
        methods_(std::max<size_t>(1, options.methods.size())),
        targets_(std::max<size_t>(1, options.targets.size())),
        wants_maps_(!options.raw.empty()),
        extension_(Outputs::picture_extension(options)) {
    style_.alpha(options.alpha).colour_map(sightglass::colour_map(options.colour_map));
  }

  /// Notes in `result` what the answers say of a picture.
  void add(const Picture& picture, const std::vector<Answer>& answers, const Figures& figures, Result& result) const {
    bool regions = false;
    std::vector<sightglass::Tile> tiles;
    for (const Answer& answer : answers) {
      if (!answer.explanation) {
        tiles.push_back({{}, answer.method->name + ", " + answer.layer + ": failed"});
        continue;
      }
      Record record = record_of(answer, picture, figures);
      const torch::Tensor map = answer.explanation->map(picture.row);
      if (wants_maps_) result.maps.push_back({result.records.size(), parts_of(record), npy_bytes(map.unsqueeze(0))});
      tiles.push_back({map_over(picture, map, style_), caption_of(record)});
      if (!record.box.empty()) draw_box(tiles.back().picture, record.box);
      if (record.pixels) {
        tiles.push_back({region_over(picture, answer.question.mask, record.peak, style_), region_caption(record)});
        regions = true;
      }
      result.records.push_back(std::move(record));
    }
    const size_t columns = regions ? 2 : columns_of(tiles.size());
    result.picture =
        picture_bytes(tiles.size() == 1              ? tiles.front().picture
                      : picture.input.photos.empty() ? stacked(tiles)
                                                     : grid_beside(all_boxes(picture, result), tiles, columns),
                      extension_);
  }

  /// Of a detector that found nothing: the picture as it is, and a record that says so.
  void add_nothing(const Picture& picture, const std::string& layer, const std::string& method, Result& result) const {
    Record record;
    record.image = picture.input.path;
    record.index = picture.index();
    record.layer = layer;
    record.method = method;
    record.target = -1;
    record.title = "what it found";
    record.status = "nothing_found";
    result.picture = picture_bytes(picture.photo(), extension_);
    result.records.push_back(std::move(record));
  }

 private:
  /// A map of one value is drawn blank, whatever the value.
  static std::string suspicion_of(const torch::Tensor& map) {
    if (map.numel() == 1) return "the layer has one place alone, so that it points nowhere; name an earlier --layer";
    const double low = map.min().item<double>(), high = map.max().item<double>();
    return high - low <= 1e-6 * std::abs(high) ? "it is the same everywhere, so that it points nowhere" : "";
  }

  Record record_of(const Answer& answer, const Picture& picture, const Figures& figures) const {
    const int64_t i = picture.row;
    const sightglass::Explanation& explanation = *answer.explanation;
    Record record;
    record.image = picture.input.path;
    record.index = picture.index();
    record.layer = answer.layer;
    record.method = answer.method->name;
    const Question& question = answer.question;
    // Of one output, the first.
    record.target =
        question.index >= 0 ? question.index : std::max<int64_t>(0, explanation.targets()[i].item<int64_t>());
    if (question.mask.defined()) record.pixels = question.mask.sum().item<int64_t>();
    record.label = labels_.name(record.target);
    record.title = title_of(record.target, picture.outputs, labels_);
    record.score = explanation.scores()[i].item<double>();
    record.probability = probability_of(figures, i, record.target);
    record.peak = peak_of(picture, explanation.map(i));
    record.status = sightglass::to_string(explanation.status(i));
    record.suspicion = suspicion_of(explanation.map(i));
    if (question.finding) note_finding(*question.finding, picture, explanation.map(i), record);
    return record;
  }

  void note_finding(const Finding& finding, const Picture& picture, const torch::Tensor& map, Record& record) const {
    record.title = labels_.title(record.target);
    record.score = finding.detection.score;
    record.box = box_on_picture(finding.detection.box, picture.place());
    const auto [inside, share] = share_in(map, record.box, picture);
    record.inside = inside;
    record.box_share = share;
    record.number = finding.number;
  }

  /// The picture with the boxes of all that is explained.
  static cv::Mat all_boxes(const Picture& picture, const Result& result) {
    cv::Mat drawn = in_colour(picture.photo());
    for (const Record& record : result.records)
      if (!record.box.empty()) draw_box(drawn, record.box);
    return drawn;
  }

  /// What belongs together is a row: targets, or else methods, or else layers.
  size_t columns_of(size_t tiles) const {
    return targets_ > 1 && tiles % targets_ == 0 ? targets_ : methods_ > 1 ? methods_ : std::min<size_t>(4, tiles);
  }

  /// What tells the record from the picture's others, for a file's name.
  std::string parts_of(const Record& record) const {
    std::string parts;
    if (layers_ > 1) parts += "_" + record.layer;
    if (methods_ > 1) parts += "_" + record.method;
    if (targets_ > 1) parts += "_" + std::to_string(record.target);
    if (!record.box.empty()) parts += "_" + std::to_string(record.number);
    return parts;
  }

  std::string caption_of(const Record& record) const {
    std::string caption = record.title;
    if (!record.box.empty()) caption += in_digits(record.score);
    if (methods_ > 1) caption += ", " + record.method;
    if (layers_ > 1) caption += ", " + record.layer;
    if (record.status != "ok") return caption + ": " + record.status;
    return record.suspicion.empty() ? caption : caption + ": the same everywhere";
  }

  static std::string in_digits(double score) {
    char text[32];
    std::snprintf(text, sizeof text, ", %.2f", score);
    return text;
  }

  static std::string region_caption(const Record& record) {
    return "where it sees " + record.title + ": " + std::to_string(*record.pixels) + " pixels";
  }

  Labels labels_;
  size_t layers_, methods_, targets_;  // how many are asked for
  bool wants_maps_;
  std::string extension_;  // of pictures
  sightglass::OverlayOptions style_;
};

}  // namespace support
