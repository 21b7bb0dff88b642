#pragma once

#include <sightglass/sightglass.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"
#include "support/methods.hpp"

namespace support {

/// A map that is to be written, as the bytes of a `.npy` file.
struct MapFile {
  size_t record;           // of the result, whose map it is
  std::string name_parts;  // what tells it from the picture's others
  std::string bytes;
};

/// What has been found out about one picture, drawn and not yet written.
struct Result {
  std::string image;                  // the file that it is about
  std::string index;                  // among the pictures of an array; else empty
  std::string overview;               // the largest outputs, a line each
  std::vector<Record> records;        // one for each layer, method and target
  std::string picture;                // the bytes of a picture file; empty: nothing was explained
  std::vector<MapFile> maps;          // where they are asked for
  std::vector<std::string> failures;  // what could not be explained, a line each
  std::vector<std::string> warnings;  // what may be a mistake, a line each
};

/// One of the things that a detector found in a picture, and its number among them.
struct Finding {
  sightglass::Detection detection;
  size_t number;
};

/// What is asked of a model: a target, and of a segmenter the places that it predicts to be of its class, of a detector
/// what it found.
struct Question {
  sightglass::Target target = {};
  int64_t index = -1;       // of the class, where the target does not tell; else -1
  torch::Tensor mask = {};  // bool [*S], as the model's output; undefined for whole pictures
  std::optional<Finding> finding = {};
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

/// Asks a method by `explain`, which gives an explanation or throws why there is none.
template <class Explain>
Answer answer(std::string layer, const Method* method, const Question& question, const Explain& explain) {
  Answer answer{std::move(layer), method, question, {}, {}};
  try {
    answer.explanation = explain();
  } catch (const std::exception& error) {
    answer.failure = one_line(error);
  }
  return answer;
}

/// Layer by layer, method by method, question by question.
inline std::vector<Answer> answer_all(const sightglass::Pass& pass, const std::vector<const Method*>& methods,
                                      const std::vector<Question>& questions) {
  std::vector<Answer> answers;
  for (size_t layer = 0; layer < pass.size(); ++layer)
    for (const Method* method : methods)
      for (const Question& question : questions)
        answers.push_back(answer(pass.layer_name(layer), method, question,
                                 [&] { return method->explain(pass, layer, question.target); }));
  return answers;
}

/// The same of all layers as one map of the input's size, the maximum of theirs: a thing of whatever size is seen at
/// one of them.
inline std::vector<Answer> answer_fused(const sightglass::Pass& pass, const std::vector<const Method*>& methods,
                                        const std::vector<Question>& questions) {
  std::string names = pass.layer_name(0);
  for (size_t i = 1; i < pass.size(); ++i)
    if (pass.layer_name(i) != pass.layer_name(i - 1)) names += "+" + pass.layer_name(i);
  std::vector<Answer> answers;
  for (const Method* method : methods)
    for (const Question& question : questions)
      answers.push_back(answer(names, method, question, [&] {
        std::vector<sightglass::Explanation> each;
        for (size_t i = 0; i < pass.size(); ++i) each.push_back(method->explain(pass, i, question.target));
        return each.size() == 1 ? each.front()
                                : sightglass::fuse(each, sightglass::Fusion::peaks, each.front().input_size());
      }));
  return answers;
}

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
