#pragma once

#include <nlohmann/json.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/figures.hpp"
#include "support/labels.hpp"

namespace support {

/// One explained decision: an image, a layer, a method and a target.
struct Record {
  std::string image;
  std::string index;  // of an array's several pictures; empty otherwise
  std::string layer;
  std::optional<size_t> call;  // of a layer that runs several times
  std::string method;
  int64_t target = 0;
  std::string label;
  std::string title;  // what people are told: label and target, or that it is the only output
  double score = 0;
  std::optional<double> probability;  // where the model gives one, or the task is told
  std::optional<int64_t> pixels;      // of a segmenter: how many places are explained
  std::vector<double> box;            // of a detector: x0, y0, x1, y1 in pixels of the picture as shown
  size_t number = 0;                  // among what it found
  double inside = 0;                  // the share of the map's positive part in the box
  double box_share = 0;               // that of the picture, what chance gives
  std::vector<int64_t> peak;          // x, y in pixels of the picture as shown; x of a series; x, y, z of a volume
  std::string status;
  std::string suspicion;  // why a map whose status is "ok" shows nothing; else empty
  std::string map;        // the file written, if any
  std::string picture;
};

/// The record as a JSON object on one line. What is no number becomes null, as does what there is not.
inline std::string to_json(const Record& record) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  nlohmann::ordered_json json;
  json["image"] = record.image;
  if (!record.index.empty()) json["index"] = std::stoll(record.index);
  json["layer"] = record.layer;
  if (record.call) json["call"] = *record.call;
  json["method"] = record.method;
  json["target"] = record.target >= 0 ? nlohmann::ordered_json(record.target) : nlohmann::ordered_json();
  json["label"] = or_null(record.label);
  json["score"] = record.score;
  json["probability"] = record.probability ? nlohmann::ordered_json(*record.probability) : nlohmann::ordered_json();
  if (record.pixels) json["pixels"] = *record.pixels;
  if (!record.box.empty()) {
    json["box"] = record.box;
    json["inside"] = record.inside;
  }
  json["peak"] = record.peak;
  json["status"] = record.status;
  json["map"] = or_null(record.map);
  json["picture"] = record.picture;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// A score and its probability, where there is one, in columns.
inline std::string figures_text(double score, std::optional<double> probability) {
  char text[64];
  if (probability)
    std::snprintf(text, sizeof text, "%6.1f %%  score %-10.5g", 100 * *probability, score);
  else
    std::snprintf(text, sizeof text, "  score %-10.5g", score);
  return text;
}

/// The five outputs of one picture with the highest scores, a line each; all where there are fewer.
inline std::string top_five(const Figures& figures, int64_t picture, const Labels& labels) {
  const torch::Tensor scores = figures.scores[picture];
  const auto [values, indices] = scores.topk(std::min<int64_t>(5, scores.size(0)));
  std::string lines;
  for (int64_t i = 0; i < values.size(0); ++i) {
    const int64_t index = indices[i].item<int64_t>();
    lines += (i == 0 ? "  " : "\n  ") +
             figures_text(values[i].item<double>(), probability_of(figures, picture, index)) + " " +
             title_of(index, scores.size(0), labels);
  }
  return lines;
}

/// A status that is not "ok", in words.
inline std::string in_words(const std::string& status) {
  if (status == "no_positive_evidence") return "a blank map, nothing here speaks for it: status " + status;
  if (status == "zero_gradient") return "a blank map, the score does not react to this layer: status " + status;
  return "a map not to be trusted: status " + status;
}

/// A place in words: `x 3, y 2`.
inline std::string in_words(const std::vector<int64_t>& place) {
  std::string words;
  for (size_t d = 0; d < place.size(); ++d)
    words += (d == 0 ? "" : ", ") + std::string(1, static_cast<char>('x' + d)) + " " + std::to_string(place[d]);
  return words;
}

/// The record as a line for people.
inline std::string to_line(const Record& record) {
  const std::string call = record.call ? " (call " + std::to_string(*record.call) + ")" : "";
  std::string line = "  " + record.method + " at " + record.layer + call + " of " + record.title + ": ";
  if (record.status != "ok")
    line += in_words(record.status);
  else if (!record.suspicion.empty())
    line += "a suspicious map: " + record.suspicion;
  else
    line += "highest at " + in_words(record.peak);
  if (!record.box.empty() && record.status == "ok") {
    char text[64];
    std::snprintf(text, sizeof text, ", %.0f %% of it in the box (chance %.0f %%)", 100 * record.inside,
                  100 * record.box_share);
    line += text;
  }
  return record.map.empty() ? line : line + ", written to " + record.map;
}

}  // namespace support
