#pragma once

#include <torch/nn/module.h>
#include <torch/optim/adamw.h>
#include <torch/types.h>
#include <opencv2/core.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "support/progress.hpp"

namespace support {

constexpr int64_t shapes_batch_size = 32;

/// The loss on a batch, and how much of what a network was asked it had right.
struct BatchResult {
  torch::Tensor loss;
  double right, asked;
};

/// Pictures that a network learns from for some epochs.
struct Stage {
  int64_t pictures;
  int64_t side;
  int epochs;
  /// On the pictures of these numbers, turned and mirrored in one of eight ways, see `mirrored`.
  std::function<BatchResult(const torch::Tensor& chosen, int way)> result;
};

/// The learning rate's share of its highest value: up in the first seventh, then down along a cosine.
inline double schedule(double progress) {
  constexpr double warm_up = 0.15;
  return progress < warm_up ? progress / warm_up : 0.5 * (1 + std::cos(M_PI * (progress - warm_up) / (1 - warm_up)));
}

/// Trains a network on one stage after the other, and says how it gets on.
class Training {
 public:
  /// @param measure what the share of right answers is called
  Training(std::shared_ptr<torch::nn::Module> net, std::string measure, cv::RNG& random)
      : net_(std::move(net)),
        measure_(std::move(measure)),
        random_(random),
        optimiser_(net_->parameters(), highest_rate) {}

  /// The network is left in evaluation mode.
  void run(const std::vector<Stage>& stages) {
    net_->train();
    epochs_ = 0;
    for (const Stage& stage : stages) epochs_ += stage.epochs;
    for (const Stage& stage : stages)
      for (int i = 0; i < stage.epochs; ++i) epoch(stage);
    net_->eval();
  }

 private:
  static constexpr double highest_rate = 0.01;

  /// Shows the network each picture of the stage once.
  void epoch(const Stage& stage) {
    const Clock clock;
    const torch::Tensor order = torch::randperm(stage.pictures);
    const int64_t batches = std::max<int64_t>(1, stage.pictures / shapes_batch_size);
    double loss = 0, right = 0, asked = 0, seen = 0;
    Progress progress("epoch " + std::to_string(epoch_ + 1), static_cast<size_t>(batches));
    for (int64_t batch = 0; batch < batches; ++batch) {
      set_rate((epoch_ + static_cast<double>(batch) / static_cast<double>(batches)) / epochs_);
      const torch::Tensor chosen = order.slice(0, batch * shapes_batch_size, (batch + 1) * shapes_batch_size);
      const BatchResult result = stage.result(chosen, random_.uniform(0, 8));
      optimiser_.zero_grad();
      result.loss.backward();
      optimiser_.step();
      loss += result.loss.item<double>() * static_cast<double>(chosen.size(0));
      seen += static_cast<double>(chosen.size(0));
      right += result.right;
      asked += result.asked;
      progress.advance();
    }
    ++epoch_;
    char line[128];
    std::snprintf(line, sizeof line, "epoch %2d of %d  %d x %d pixels  loss %.3f  %s %s  %.1f s", epoch_, epochs_,
                  static_cast<int>(stage.side), static_cast<int>(stage.side), loss / seen, measure_.c_str(),
                  percent(right / asked).c_str(), clock.seconds());
    progress.say(line, stdout);
  }

  void set_rate(double progress) {
    for (torch::optim::OptimizerParamGroup& group : optimiser_.param_groups())
      static_cast<torch::optim::AdamWOptions&>(group.options()).lr(highest_rate * std::max(0.02, schedule(progress)));
  }

  std::shared_ptr<torch::nn::Module> net_;
  std::string measure_;
  cv::RNG& random_;
  torch::optim::AdamW optimiser_;
  int epochs_ = 0;
  int epoch_ = 0;
};

}  // namespace support
