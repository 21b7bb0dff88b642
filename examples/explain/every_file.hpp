#pragma once

#include <ATen/Parallel.h>
#include <opencv2/core/utility.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "explainer.hpp"
#include "options.hpp"
#include "outputs.hpp"
#include "report.hpp"
#include "warnings.hpp"
#include "writer.hpp"
#include "support/detector_file.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/inputs.hpp"
#include "support/interrupt.hpp"
#include "support/preparation.hpp"
#include "support/program.hpp"
#include "support/progress.hpp"
#include "support/workers.hpp"

namespace support {

/// Explains files, several at once, and tells and writes what comes of them in their order.
class EveryFile {
 public:
  EveryFile(const Options& options, Explainer explainer, FilePreparation said, Preparation wanted,
            std::vector<std::string> files)
      : options_(options),
        explainer_(std::move(explainer)),
        said_(std::move(said)),
        wanted_(std::move(wanted)),
        files_(std::move(files)),
        outputs_(options, files_, others_read(options)),
        progress_("explaining", files_.size()),
        prepared_as_told_(options.json || !options.pictures.mean.empty()) {}

  /// Tells of a possible mistake, once for all files.
  void warn(const std::string& warning) {
    if (warned_.insert(warning).second) progress_.say("explain: warning: " + warning);
  }

  /// @param complaints of paths that stand for no files
  ExitStatus run(const std::vector<std::string>& complaints) {
    failed_ = complaints.size();
    for (const std::string& complaint : complaints) progress_.say("explain: " + complaint);
    const Interrupt interrupt;
    std::vector<size_t> numbers = to_do();
    const size_t done_before = files_.size() - numbers.size();
    one_after_the_other(numbers);
    if (!numbers.empty() && !Interrupt::asked()) at_once(numbers);
    const bool cut_short = done_before + done_ < files_.size();
    tell_counts(done_before, cut_short);
    return cut_short ? interrupted : failed_ == 0 ? all_well : some_failed;
  }

 private:
  /// What comes of one file.
  struct Outcome {
    std::vector<std::string> warnings;
    std::vector<Result> results;
    std::string failure;
  };

  /// From so many files on, making the model's faster form takes less time than it saves.
  static constexpr size_t many = 50;
  /// So many files are explained at once, where there are processors. Each has its activations in memory.
  static constexpr size_t most_at_once = 8;

  static std::vector<std::string> others_read(const Options& options) {
    std::vector<std::string> others{options.model, options.labels};
    for (const std::string& words : options.further) others.push_back(words.substr(words.find('=') + 1));
    return others;
  }

  /// The numbers of the files that are to be explained.
  std::vector<size_t> to_do() {
    std::vector<size_t> numbers;
    for (size_t file = 0; file < files_.size(); ++file) {
      if (options_.resume && outputs_.is_written(file))
        progress_.advance();
      else
        numbers.push_back(file);
    }
    return numbers;
  }

  /// Files on all processors, one after the other, until the explainer is settled; they are taken off `numbers`.
  void one_after_the_other(std::vector<size_t>& numbers) {
    bool to_optimise = numbers.size() >= many;
    size_t done = 0;
    for (; done < numbers.size() && !Interrupt::asked(); ++done) {
      if (explainer_.is_settled()) {
        if (!std::exchange(to_optimise, false)) break;
        explainer_.optimise();  // made while the next one is explained
      }
      take(numbers[done], outcome_of(numbers[done], explainer_));
    }
    numbers.erase(numbers.begin(), numbers.begin() + static_cast<std::ptrdiff_t>(done));
  }

  /// Files on a processor or more each.
  void at_once(const std::vector<size_t>& numbers) {
    const auto processors = static_cast<size_t>(at::get_num_threads());
    const size_t count = std::min({processors, most_at_once, numbers.size()});
    at::set_num_threads(static_cast<int>(std::max<size_t>(1, processors / count)));
    cv::setNumThreads(1);
    std::vector<Workers<Outcome>::Work> works;
    for (size_t i = 0; i < count; ++i)
      works.emplace_back([this, explainer = explainer_](size_t file) mutable { return outcome_of(file, explainer); });
    Workers<Outcome> workers(std::move(works));
    in_order(
        workers, numbers, 2 * count, [this](size_t file, Outcome outcome) { take(file, std::move(outcome)); },
        &Interrupt::asked);
  }

  /// Throws `UsageError` alone.
  Outcome outcome_of(size_t file, Explainer& explainer) const {
    Outcome outcome;
    Warnings warnings;
    try {
      const Input input = read_input(files_[file], wanted_, options_.pictures.image());
      outcome.results = explainer.explain(input);
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      outcome.failure = one_line(error);
    }
    outcome.warnings = warnings.taken();
    return outcome;
  }

  /// Tells and writes.
  void take(size_t file, Outcome outcome) {
    for (const std::string& warning : outcome.warnings) warn(warning);
    bool complete = outcome.failure.empty();
    try {
      for (Result& result : outcome.results) {
        write(result, file, outputs_);
        for (const std::string& warning : result.warnings) warn(warning);
        for (const std::string& failure : result.failures) complain(file, failure);
        complete = complete && result.failures.empty();
        print(result, file);
      }
    } catch (const UsageError&) {
      throw;
    } catch (const std::exception& error) {
      outcome.failure = one_line(error);
    }
    if (!outcome.failure.empty()) complain(file, outcome.failure);
    failed_ += complete && outcome.failure.empty() ? 0 : 1;
    ++done_;
    progress_.advance();
  }

  void complain(size_t file, const std::string& failure) {
    const bool names_the_file = failure.find(files_[file]) != std::string::npos;
    progress_.say("explain: " + (names_the_file ? "" : files_[file] + ": ") + failure);
  }

  void print(const Result& result, size_t file) {
    if (options_.json) {
      for (const Record& record : result.records) progress_.say(to_json(record), stdout);
      return;
    }
    if (extension_of(files_[file]) != ".npy" && !std::exchange(prepared_as_told_, true))
      progress_.say(told_of(wanted_, said_.source), stdout);
    progress_.say(files_[file] + (result.index.empty() ? "" : " number " + result.index), stdout);
    progress_.say(result.overview, stdout);
    for (const Record& record : result.records)
      if (record.status != "nothing_found") progress_.say(to_line(record), stdout);  // the overview says it
    if (!result.records.empty()) progress_.say("  drawn in " + result.records.front().picture, stdout);
  }

  void tell_counts(size_t done_before, bool cut_short) {
    if (files_.size() <= 1 && done_before == 0) return;
    const auto counted = [](size_t count, const char* what) { return std::to_string(count) + what; };
    progress_.say("explain: " + (cut_short ? counted(done_, " done before it was interrupted, of ") : "") +
                  counted(files_.size(), " files, ") +
                  (done_before > 0 ? counted(done_before, " there already, ") : "") + counted(failed_, " with errors") +
                  (cut_short ? "; --resume goes on from there" : ""));
  }

  const Options& options_;
  Explainer explainer_;
  FilePreparation said_;
  Preparation wanted_;
  std::vector<std::string> files_;
  Outputs outputs_;
  Progress progress_;
  std::set<std::string> warned_;
  size_t failed_ = 0;
  size_t done_ = 0;
  bool prepared_as_told_;  // whether it was told how pictures are prepared, or need not be
};

}  // namespace support
