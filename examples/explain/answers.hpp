#pragma once

#include <sightglass/sightglass.hpp>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "report.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"
#include "support/methods.hpp"

namespace support {

/// What has been found out about one picture. Its files are written.
struct Result {
  std::string picture;                // the file
  std::string overview;               // the largest outputs, a line each
  std::vector<Record> records;        // one for each layer, method and target
  std::vector<std::string> failures;  // what could not be explained, a line each
  std::vector<std::string> warnings;  // what may be a mistake, a line each
};

/// What is asked of a model: a target, and of a segmenter the places that it predicts to be of its class.
struct Question {
  sightglass::Target target = {};
  int64_t index = -1;       // of the class, where the target does not tell; else -1
  torch::Tensor mask = {};  // bool [*S], as the model's output; undefined for whole pictures
};

/// What one method says of all pictures at one layer, for one target: an explanation, or why there is none.
struct Answer {
  std::string layer;
  const Method* method;
  Question question;
  std::optional<sightglass::Explanation> explanation;
  std::string failure;
};

/// One picture of an input.
struct Picture {
  const Input& input;
  size_t number;
  int64_t row;      // of the explanations
  int64_t outputs;  // of the model: classes
  std::string index() const { return input.batch.size(0) > 1 ? std::to_string(number) : ""; }
  const cv::Mat& photo() const { return input.photos[number]; }
  const Placement& place() const { return input.places[number]; }
  /// `[C, *S]`, what the model is given.
  torch::Tensor values() const { return input.batch[static_cast<int64_t>(number)]; }
};

/// A line for each that has no explanation; what several say alike once.
inline std::vector<std::string> failures_of(const std::vector<Answer>& answers) {
  std::vector<std::string> failures;
  for (const Answer& answer : answers) {
    const std::string line = answer.method->name + " at " + answer.layer + ": " + answer.failure;
    const bool said = std::find(failures.begin(), failures.end(), line) != failures.end();
    if (!answer.explanation && !said) failures.push_back(line);
  }
  return failures;
}

}  // namespace support
