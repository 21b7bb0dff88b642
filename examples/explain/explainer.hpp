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

#include "asked_model.hpp"
#include "options.hpp"
#include "result_maker.hpp"
#include "support/errors.hpp"
#include "support/inputs.hpp"
#include "support/labels.hpp"

namespace support {

/// Explains pictures at the layers, by the methods and for the targets that the command line names.
class Explainer {
 public:
  /// See `AskedModel`.
  Explainer(const torch::jit::Module& script, const Options& options, const Labels& labels, const FileNotes& notes)
      : model_(script, options, labels, notes), labels_(labels), make_(options, labels) {}

  /// Explains each of the input's pictures. Copies made afterwards may explain at once, each in a thread of its own.
  /// Throws `c10::Error` where the model cannot take the input; `UsageError` where it has no such class.
  std::vector<Result> explain(const Input& input) {
    std::vector<Result> results;
    const bool folds = input.batch.size(0) > 1 && model_.folds_frames(one_of(input, 0).batch);
    if (input.batch.size(0) > 1 && (model_.detector() || folds)) {
      for (size_t i = 0; i < static_cast<size_t>(input.batch.size(0)); ++i) results.push_back(explain_alone(input, i));
      return results;
    }
    const Run run = model_.run(input);
    const bool one_by_one = run.segmentation && input.batch.size(0) > 1;  // a region is of one picture
    for (int64_t i = 0; i < input.batch.size(0); ++i) {
      const auto number = static_cast<size_t>(i);
      results.push_back(one_by_one ? explain_alone(input, number)
                                   : result_of({run.seen ? *run.seen : input, number, i, run.output.size(1)}, run));
    }
    if (!one_by_one) results.front().failures = failures_of(run.answers);
    results.front().warnings = model_.take_warnings();
    if (results.front().failures.empty()) model_.settle();
    return results;
  }

  /// Whether an input has succeeded.
  bool is_settled() const { return model_.is_settled(); }

  /// See `AskedModel::optimise`.
  void optimise() { model_.optimise(); }

 private:
  Result result_of(const Picture& picture, const Run& run) const {
    Result result;
    result.image = picture.input.path;
    result.index = picture.index();
    const std::optional<Detector>& detector = model_.detector();
    result.overview = detector           ? detector->overview(run.detections, labels_)
                      : run.segmentation ? run.segmentation->overview(labels_)
                                         : top_five(run.figures, picture.row, labels_);
    if (detector && run.answers.empty()) {
      const std::string layer = model_.layers().empty() ? "" : model_.layers().front().name();
      make_.add_nothing(picture, layer, model_.first_method().name, result);
    }
    const auto explained = [](const Answer& answer) { return answer.explanation.has_value(); };
    if (std::any_of(run.answers.begin(), run.answers.end(), explained))
      make_.add(picture, run.answers, run.figures, result);
    for (Record& record : result.records) record.call = model_.call_of(record.layer);
    return result;
  }

  /// One picture of several; what fails is told, and the others are explained.
  Result explain_alone(const Input& input, size_t number) {
    try {
      const Run run = model_.run(one_of(input, number));
      Result result = run.seen ? result_of({*run.seen, 0, 0, run.output.size(1)}, run)
                               : result_of({input, number, 0, run.output.size(1)}, run);
      result.failures = failures_of(run.answers);
      if (input.batch.size(0) == 1) return result;
      result.index = std::to_string(number);
      for (Record& record : result.records) record.index = result.index;
      return result;
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      Result result;
      result.failures.push_back("number " + std::to_string(number) + ": " + one_line(error));
      return result;
    }
  }

  AskedModel model_;
  Labels labels_;
  ResultMaker make_;
};

}  // namespace support
