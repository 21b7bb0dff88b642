#pragma once

#include <sightglass/sightglass.hpp>

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "support/boxes.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/inputs.hpp"
#include "support/methods.hpp"

namespace support {

/// The mean of the numbers told so far.
class Mean {
 public:
  void add(const torch::Tensor& numbers) {
    sum_ += numbers.sum(torch::kDouble).item<double>();
    count_ += numbers.numel();
  }
  /// The mean times `factor`; a dash without numbers.
  std::string text(double factor = 1) const {
    return count_ == 0 ? "–" : number(factor * sum_ / static_cast<double>(count_), factor);
  }
  static std::string number(double value, double factor = 1) {
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, factor == 1 ? "%.3f" : "%.1f", value);
    return buffer;
  }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

/// What insertion, deletion and drop are measured in.
/// Throws `c10::Error` for an output without probabilities.
inline torch::Tensor probabilities_of(const torch::Tensor& output, Task task, ModelEnd end) {
  const Figures figures = figures_of(output, task, end);
  TORCH_CHECK(figures.probabilities.defined(),
              figures.doubt.empty() ? "the outputs are no probabilities" : figures.doubt);
  return figures.probabilities.to(output.device(), output.scalar_type());
}

/// Judges methods picture by picture, as the library's metrics do, and tells the levels to compare with.
class Scoreboard {
 public:
  using Complain = std::function<void(const std::string&)>;
  struct Settings {
    std::string layer;
    int64_t size = 224;  ///< the side in pixels to which pictures are resized
    int64_t steps = 10;  ///< of insertion and deletion
    Task task = Task::classify;
    ModelEnd end = ModelEnd::unknown;
    c10::ScalarType type = torch::kFloat;  ///< of the model's weights
  };

  /// `complain` is told of methods that cannot be used, which are left out from there on.
  Scoreboard(sightglass::Model model, const std::vector<Method>& methods, Settings settings, Complain complain)
      : model_(std::move(model)), settings_(std::move(settings)), complain_(std::move(complain)) {
    for (const Method& each : methods) rows_.emplace_back(each);
  }

  /// A picture of one object: the pointing game, and what the score does when the picture is masked.
  /// Throws `c10::Error` for a picture that cannot be read, a box outside of it and an unknown class.
  void add_photo(const std::string& path, const BoxedObject& object) {
    bool reference_is_due = true;
    judge(path, object, &Row::photos, [&](Row& row, const Input& input, const sightglass::Explanation& map) {
      mask(row, input.batch, map, object.label, std::exchange(reference_is_due, false));
    });
  }

  /// One of several objects in a picture: the pointing game alone. Throws as `add_photo` does.
  void add_collage(const std::string& path, const BoxedObject& object) {
    judge(path, object, &Row::collages, [](Row&, const Input&, const sightglass::Explanation&) {});
  }

  /// How many pictures were judged.
  int64_t photos() const { return chance_.photos.count(); }
  int64_t collages() const { return chance_.collages.count(); }
  size_t methods() const { return rows_.size(); }

  /// A table in Markdown: a line a method, then two rules that need no map.
  std::string markdown() const {
    std::string text =
        "| method | pointing, photos % | pointing, collages % | energy in box | drop (shuffled map) | "
        "increase % (shuffled map) | insertion | deletion |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
    for (const Row& row : rows_)
      text += line({row.method.name, hits(row.photos), hits(row.collages), energy(row.photos),
                    row.drop.text() + " (" + row.shuffled_drop.text() + ")",
                    row.increase.text(100) + " (" + row.shuffled_increase.text(100) + ")", row.insertion.text(),
                    row.deletion.text()});
    text += line({"the picture's centre", hits(centre_.photos), hits(centre_.collages), "–", "–", "–", "–", "–"});
    return text + line({"chance", chance(chance_.photos), chance(chance_.collages), chance(chance_.photos, 1), "–", "–",
                        chance_.insertion.text(), chance_.deletion.text()});
  }

 private:
  struct Row {
    explicit Row(Method which) : method(std::move(which)) {}
    Method method;
    sightglass::PointingGame photos = {}, collages = {};
    Mean drop = {}, increase = {}, insertion = {}, deletion = {};
    Mean shuffled_drop = {}, shuffled_increase = {};
  };
  using Game = sightglass::PointingGame Row::*;
  using Judge = std::function<void(Row&, const Input&, const sightglass::Explanation&)>;

  void judge(const std::string& path, const BoxedObject& object, Game game, const Judge& further) {
    Input input = read_input(path, settings_.size);
    input.batch = input.batch.to(settings_.type);
    const int64_t height = input.photos.front().rows, width = input.photos.front().cols;
    const sightglass::Pass pass(model_, input.batch, {model_.layer(settings_.layer)}, sightglass::Tail::again);
    const sightglass::Target target(object.label);
    target.scores(pass.output());
    const auto play = [&](Row& row, const sightglass::Explanation& map) {
      (row.*game).add(map, 0, object.box, height, width);
    };
    play(chance_, by_hand(torch::zeros({1, 1, 1})));
    play(centre_, by_hand(torch::tensor({0.f, 0.f, 0.f, 0.f, 1.f, 0.f, 0.f, 0.f, 0.f}).view({1, 3, 3})));
    for (size_t i = 0; i < rows_.size();) {
      try {
        const sightglass::Explanation map = rows_[i].method.explain(pass, 0, target);
        play(rows_[i], map);
        further(rows_[i], input, map);
        ++i;
      } catch (const std::exception& error) {
        complain_(path + ": " + rows_[i].method.name + " is left out: " + one_line(error));
        rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
  }

  void mask(Row& row, const torch::Tensor& batch, const sightglass::Explanation& map, int64_t label,
            bool reference_is_due) {
    const sightglass::Target probability([=, task = settings_.task, end = settings_.end](const torch::Tensor& output) {
      return probabilities_of(output, task, end).select(1, label);
    });
    const sightglass::DropIncrease masked = sightglass::drop_increase(model_, batch, map, probability);
    row.drop.add(masked.drop);
    row.increase.add(masked.increase);
    row.shuffled_drop.add(masked.reference_drop);
    row.shuffled_increase.add(masked.reference_increase);
    sightglass::InsertionDeletionOptions options;
    options.steps = settings_.steps;
    options.reference = reference_is_due ? sightglass::Reference::computed : sightglass::Reference::left_out;
    const sightglass::InsertionDeletion areas =
        sightglass::insertion_deletion(model_, batch, map, probability, options);
    row.insertion.add(areas.insertion);
    row.deletion.add(areas.deletion);
    if (!reference_is_due) return;
    chance_.insertion.add(areas.reference_insertion);
    chance_.deletion.add(areas.reference_deletion);
  }

  static sightglass::Explanation by_hand(const torch::Tensor& map) {
    return {map, torch::zeros({1}), torch::zeros({1}, torch::kLong), map.sizes().slice(1).vec()};
  }

  static std::string hits(const sightglass::PointingGame& game) {
    return game.count() == 0 ? "–" : Mean::number(100 * game.hit_rate(), 100);
  }
  static std::string energy(const sightglass::PointingGame& game) {
    return game.count() == 0 ? "–" : Mean::number(game.energy());
  }
  static std::string chance(const sightglass::PointingGame& game, double factor = 100) {
    return game.count() == 0 ? "–" : Mean::number(factor * game.chance(), factor);
  }
  static std::string line(const std::vector<std::string>& cells) {
    std::string text = "|";
    for (const std::string& cell : cells) text += " " + cell + " |";
    return text + "\n";
  }

  sightglass::Model model_;
  Settings settings_;
  Complain complain_;
  std::vector<Row> rows_;
  Row centre_{Method{}}, chance_{Method{}};
};

}  // namespace support
