#pragma once

#include <CLI/CLI.hpp>

#include <torch/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "model_end.hpp"

namespace support {

/// What a model's output is about, where the command line says so.
enum class Task { untold, classify, multi_label, binary, regress, segment };

/// What a program serves: scores of whole pictures, or those of places too.
enum class Serves { scores, places };

/// @throws UsageError for an unknown word, and for tasks that are not served yet.
inline Task task_called(const std::string& word, Serves serves = Serves::scores) {
  static const std::vector<std::pair<std::string, Task>> tasks{{"", Task::untold},
                                                               {"classify", Task::classify},
                                                               {"multi-label", Task::multi_label},
                                                               {"binary", Task::binary},
                                                               {"regress", Task::regress}};
  for (const auto& [name, task] : tasks)
    if (name == word) return task;
  const bool places = serves == Serves::places;
  if (places && word == "segment") return Task::segment;
  const std::string known = std::string("classify, multi-label, binary, regress") + (places ? ", segment" : "");
  if (word == "segment" || word == "detect")
    throw UsageError("--task " + word + ": not served by the program yet (" + known +
                     " are); in C++: sightglass::Target::" + (word == "segment" ? "segmentation" : "box"));
  throw UsageError("--task " + word + ": no such task; expected one of " + known);
}

inline void add_task_option(CLI::App& app, std::string& task, Serves serves = Serves::scores) {
  const std::string places = serves == Serves::places ? ",\nsegment (a score for each class and place)" : "";
  app.add_option("--task", task,
                 "What the outputs are: classify (classes that exclude each other), multi-label,\n"
                 "binary (one output, of the positive class), regress" +
                     places + " [untold: see Probabilities]")
      ->type_name("TASK");
}

/// The figures of a model's output: its scores, and probabilities where there are any.
struct Figures {
  torch::Tensor scores;         // [N, outputs] float64, as the model gives them
  torch::Tensor probabilities;  // [N, outputs] float64; undefined where the scores are none and the task is untold
  std::string doubt;            // why there are none although the task is told; else empty
};

namespace detail {

/// Whether each row is a distribution over several outputs, as far as the type of the numbers tells.
inline bool sums_to_one(const torch::Tensor& rows, c10::ScalarType type) {
  if (rows.size(1) < 2) return false;
  const double tolerance = type == torch::kHalf || type == torch::kBFloat16 ? 1e-2 : 1e-4;
  return ((rows >= 0) & (rows <= 1 + tolerance)).all().item<bool>() &&
         ((rows.sum(1) - 1).abs() <= tolerance).all().item<bool>();
}

/// Of outputs that say yes or no each. The end of the model tells whether they are probabilities; the numbers of one
/// picture do not, since a logit may lie between 0 and 1 too.
inline void add_sigmoids(Figures& figures, ModelEnd end) {
  const bool in_range = ((figures.scores >= 0) & (figures.scores <= 1)).all().item<bool>();
  if (end == ModelEnd::sigmoid)
    figures.probabilities = figures.scores;
  else if (end == ModelEnd::linear || !in_range)
    figures.probabilities = figures.scores.sigmoid();
  else
    figures.doubt =
        "it cannot be told whether the outputs, all in 0 to 1, are probabilities or logits: no probabilities";
}

}  // namespace detail

/// The figures of a model's output.
/// @param output `[N, outputs]` or `[N]`, of any floating type.
/// @throws UsageError where the task needs another number of outputs.
inline Figures figures_of(const torch::Tensor& output, Task task, ModelEnd end) {
  Figures figures;
  figures.scores = output.detach().to(torch::kCPU, torch::kDouble);
  if (figures.scores.dim() == 1) figures.scores = figures.scores.unsqueeze(1);
  const int64_t count = figures.scores.size(1);
  if (task == Task::regress) return figures;
  if (task == Task::binary && count != 1)
    throw UsageError("--task binary: the model has " + std::to_string(count) +
                     " outputs, expected one; two that exclude each other are --task classify");
  if (task == Task::classify && count == 1)
    throw UsageError("--task classify: the model has one output, expected several; it is --task binary or regress");
  if (detail::sums_to_one(figures.scores, output.scalar_type()))
    figures.probabilities = figures.scores;
  else if (detail::sums_to_one(figures.scores.exp(), output.scalar_type()))
    figures.probabilities = figures.scores.exp();
  else if (task == Task::classify)
    figures.probabilities = end == ModelEnd::sigmoid ? figures.scores : figures.scores.softmax(1);
  else if (task == Task::multi_label || task == Task::binary)
    detail::add_sigmoids(figures, end);
  return figures;
}

/// The probability of an output for one picture, where there is one.
inline std::optional<double> probability_of(const Figures& figures, int64_t picture, int64_t index) {
  if (!figures.probabilities.defined()) return std::nullopt;
  return figures.probabilities[picture][index].item<double>();
}

}  // namespace support
