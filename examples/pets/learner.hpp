#pragma once

#include <torch/nn/functional/loss.h>
#include <torch/optim/adamw.h>
#include <torch/serialize.h>

#include <sightglass/train/activation_stats.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loader.hpp"
#include "net.hpp"
#include "support/files.hpp"
#include "support/progress.hpp"

namespace support {

/// A value that rises and falls along cosines: from `low` to `high` in the first `rise` of the way, then to `end`.
inline double one_cycle(double progress, double rise, double low, double high, double end) {
  const auto cosine = [](double from, double to, double share) {
    return to + (from - to) / 2 * (1 + std::cos(M_PI * share));
  };
  return progress < rise ? cosine(low, high, progress / rise) : cosine(high, end, (progress - rise) / (1 - rise));
}

/// fastai's `fine_tune`: epochs of the head alone, then of all, early layers a hundredth as fast as the head; each part
/// is one cycle of the learning rate, and of the momentum against it.
///
/// Where the backbone is trained already, its batch norms keep their statistics: small batches would spoil them. After
/// each epoch all is written to a checkpoint, from which the next run goes on to the same weights.
class Learner {
 public:
  struct Settings {
    int frozen_epochs = 1;
    int epochs = 3;
    double rate = 2e-3;
    uint64_t seed = 1;
    std::string description;  ///< all that the weights depend on: a checkpoint of another one is refused
  };
  enum class Backbone { trained, random };

  Learner(PetsNet net, Backbone backbone, Settings settings)
      : net_(std::move(net)),
        trained_(backbone == Backbone::trained),
        settings_(std::move(settings)),
        optimiser_(groups(*net_), torch::optim::AdamWOptions(settings_.rate).eps(1e-5).weight_decay(0.01)) {}

  /// Trains what is left to do, and prints a row an epoch. What the convolutions do is recorded beside the checkpoint.
  /// Throws `c10::Error` for a checkpoint that is damaged or of another run.
  void fit(const PictureSet& set, const Split& split, const Loader::Settings& loading, const fs::path& checkpoint) {
    if (fs::exists(checkpoint)) resume(checkpoint);
    std::printf("%-6s  %-10s  %-10s  %-10s  %s\n%s", "epoch", "train_loss", "valid_loss", "error_rate", "time",
                rows_.c_str());
    const Loader batches(set, split.training, loading, Augment::crop_and_flip, 0);
    watch(fs::path(checkpoint).replace_extension(".jsonl"));
    const auto watched = stats_->fit(done_ * static_cast<int64_t>(batches.batches()));
    for (; done_ < settings_.frozen_epochs + settings_.epochs; save(checkpoint)) {
      const auto start = std::chrono::steady_clock::now();
      const uint64_t seed = mixed({settings_.seed, static_cast<uint64_t>(done_)});
      const double training_loss =
          train(Loader(set, split.training, loading, Augment::crop_and_flip, seed), seed, watched);
      const Scores scores = validate(Loader(set, split.validation, loading, Augment::none, 0));
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      add_row(training_loss, scores, static_cast<int>(seconds.count()));
      ++done_;
    }
    net_->eval();
  }

  /// What `fit` has recorded.
  const sightglass::ActivationStats& stats() const { return *stats_; }

  struct Scores {
    double loss = 0;
    size_t right = 0, count = 0;
  };

  Scores validate(const Loader& loader) {
    const torch::NoGradGuard no_gradients;
    net_->eval();
    Scores scores;
    double loss = 0;
    loader.for_each([&](const Batch& batch) {
      const torch::Tensor output = net_->forward(batch.inputs);
      loss += loss_of(output, batch.labels).item<double>() * static_cast<double>(batch.labels.size(0));
      scores.right += static_cast<size_t>(output.argmax(1).eq(batch.labels).sum().item<int64_t>());
      scores.count += static_cast<size_t>(batch.labels.size(0));
    });
    scores.loss = loss / static_cast<double>(scores.count);
    return scores;
  }

 private:
  static std::vector<torch::optim::OptimizerParamGroup> groups(const PetsNetImpl& net) {
    std::vector<torch::optim::OptimizerParamGroup> all;
    for (const std::vector<torch::Tensor>& group : net.groups()) all.emplace_back(group);
    return all;
  }

  static torch::Tensor loss_of(const torch::Tensor& output, const torch::Tensor& labels) {
    return torch::nn::functional::cross_entropy(output, labels);
  }

  bool frozen() const { return done_ < settings_.frozen_epochs; }

  void watch(const fs::path& record) {
    using sightglass::Also;
    if (record.has_parent_path()) fs::create_directories(record.parent_path());
    const auto options = sightglass::ActivationStatsOptions()
                             .layers(sightglass::of_type<torch::nn::Conv2dImpl>())
                             .also(Also::histograms)
                             .json_lines(record.string());
    stats_ = std::make_unique<sightglass::ActivationStats>(net_, options);
  }

  double train(const Loader& loader, uint64_t seed, const sightglass::FitScope<sightglass::ActivationStats>& watched) {
    torch::manual_seed(seed);  // dropout
    net_->train();
    if (trained_) net_->backbone->eval();
    for (torch::Tensor& parameter : net_->backbone->parameters()) parameter.set_requires_grad(!frozen());
    Progress progress("epoch " + std::to_string(done_), loader.batches());
    double loss = 0;
    size_t step = 0;
    loader.for_each([&](const Batch& batch) {
      schedule(static_cast<double>(step++) / static_cast<double>(loader.batches()));
      optimiser_.zero_grad();
      const auto recorded = watched.batch();
      const torch::Tensor batch_loss = loss_of(net_->forward(batch.inputs), batch.labels);
      batch_loss.backward();
      optimiser_.step();
      loss += batch_loss.item<double>() * static_cast<double>(batch.labels.size(0));
      progress.advance();
    });
    return loss / static_cast<double>(loader.pictures());
  }

  /// Sets rates and momentum for a place in the epoch, 0 to 1.
  void schedule(double in_epoch) {
    const int first = frozen() ? 0 : settings_.frozen_epochs;
    const double progress = (done_ - first + in_epoch) / (frozen() ? settings_.frozen_epochs : settings_.epochs);
    const double rise = frozen() ? 0.99 : 0.3, highest = frozen() ? settings_.rate : settings_.rate / 2;
    const double rate = one_cycle(progress, rise, highest / (frozen() ? 25 : 5), highest, highest / 1e5);
    const double momentum = one_cycle(progress, rise, 0.95, 0.85, 0.95);
    double share = trained_ ? 0.01 : 1.0;  // of the early layers
    for (torch::optim::OptimizerParamGroup& group : optimiser_.param_groups()) {
      auto& options = static_cast<torch::optim::AdamWOptions&>(group.options());
      options.lr(rate * share).betas({momentum, 0.99});
      share = std::min(1.0, 10 * share);
    }
  }

  void add_row(double training_loss, const Scores& scores, int seconds) {
    char row[96];
    const double error = 1 - static_cast<double>(scores.right) / static_cast<double>(scores.count);
    std::snprintf(row, sizeof row, "%-6d  %-10.6f  %-10.6f  %-10.6f  %02d:%02d\n", done_, training_loss, scores.loss,
                  error, seconds / 60, seconds % 60);
    std::fputs(row, stdout);
    std::fflush(stdout);
    rows_ += row;
  }

  // ---- Checkpoints
  void save(const fs::path& path) {
    torch::serialize::OutputArchive archive, net, optimiser;
    net_->save(net);
    optimiser_.save(optimiser);
    archive.write("net", net);
    archive.write("optimiser", optimiser);
    archive.write("done", c10::IValue(int64_t{done_}));
    archive.write("rows", c10::IValue(rows_));
    archive.write("description", c10::IValue(settings_.description));
    write_whole(path, [&](const std::string& beside) { archive.save_to(beside); });
  }

  void resume(const fs::path& path) {
    torch::serialize::InputArchive archive, net, optimiser;
    c10::IValue done, rows, description;
    try {
      archive.load_from(path.string());
      archive.read("description", description);
      archive.read("done", done);
      archive.read("rows", rows);
      archive.read("net", net);
      archive.read("optimiser", optimiser);
    } catch (const std::exception& error) {
      TORCH_CHECK(false, "checkpoint \"", path.string(), "\": is damaged; remove it to begin anew: ", one_line(error));
    }
    TORCH_CHECK(description.toStringRef() == settings_.description, "checkpoint \"", path.string(),
                "\": is of another run, ", description.toStringRef(), "; this one is ", settings_.description,
                "; remove it or choose another --out");
    net_->load(net);
    optimiser_.load(optimiser);
    done_ = static_cast<int>(done.toInt());
    rows_ = rows.toStringRef();
  }

  PetsNet net_;
  bool trained_;
  Settings settings_;
  torch::optim::AdamW optimiser_;
  std::unique_ptr<sightglass::ActivationStats> stats_;
  int done_ = 0;  // epochs
  std::string rows_;
};

}  // namespace support
