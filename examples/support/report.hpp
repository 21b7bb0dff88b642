#pragma once

#include <nlohmann/json.hpp>

#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "labels.hpp"

namespace support {

/// One explained decision: an image, a layer, a method and a target.
struct Record {
  std::string image;
  std::string index;  // of an array's several pictures; empty otherwise
  std::string layer;
  std::string method;
  int64_t target = 0;
  std::string label;
  double score = 0;
  double probability = 0;
  std::pair<int64_t, int64_t> peak;  // x and y in pixels of the picture as shown
  std::string status;
  std::string map;  // the file written, if any
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
  json["method"] = record.method;
  json["target"] = record.target;
  json["label"] = or_null(record.label);
  json["score"] = record.score;
  json["probability"] = record.probability;
  json["peak"] = {record.peak.first, record.peak.second};
  json["status"] = record.status;
  json["map"] = or_null(record.map);
  json["picture"] = record.picture;
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

/// The five classes that the model finds most probable, a line each.
/// @param probabilities `[classes]`
inline std::string top_five(const torch::Tensor& probabilities, const Labels& labels) {
  const auto [values, classes] = probabilities.topk(std::min<int64_t>(5, probabilities.size(0)));
  std::string lines;
  for (int64_t i = 0; i < values.size(0); ++i) {
    char percent[16];
    std::snprintf(percent, sizeof percent, "%6.1f %%  ", 100 * values[i].item<double>());
    lines += (i == 0 ? "" : "\n") + std::string("  ") + percent + labels.title(classes[i].item<int64_t>());
  }
  return lines;
}

/// The record as a line for people.
inline std::string to_line(const Record& record, const Labels& labels) {
  std::string line = "  " + record.method + " at " + record.layer + " of " + labels.title(record.target) + ": ";
  line += record.status == "ok"
              ? "highest at x " + std::to_string(record.peak.first) + ", y " + std::to_string(record.peak.second)
              : "status " + record.status;
  return record.map.empty() ? line : line + ", written to " + record.map;
}

}  // namespace support
