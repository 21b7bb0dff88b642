#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/detail/watch.hpp"
#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/detail/layout.hpp"
#include "sightglass/model/layer_info.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/observers/axes.hpp"
#include "sightglass/trace/observers/multiply_adds.hpp"
#include "sightglass/trace/scopes.hpp"
#include "sightglass/trace/tensors.hpp"

namespace sightglass::detail {

/// True where `path` is that of something in the layer at `outer`.
inline bool is_inside(const std::string& path, const std::string& outer) {
  return path.size() > outer.size() && path[outer.size()] == '.' && path.compare(0, outer.size(), outer) == 0;
}

/// One forward pass in which each layer is noted; listing, suggesting and summing up read it.
class NotingRun {
 public:
  /// A layer, and what only the suggestion asks of it.
  struct Row {
    LayerInfo info;
    std::optional<TensorRef> output;
    Layout layout;
    int64_t ended = 0;  ///< which of all ends its last was, from 1; 0 where it gave no tensor that was seen
  };
  /// Of the whole model.
  struct Totals {
    std::vector<int64_t> output_shape;
    int64_t parameters = 0;
    int64_t trainable = 0;
    int64_t multiply_adds = 0;
    std::vector<std::string> not_counted;
  };

  /// Runs `model` on `input`, without gradients. Throws in training mode.
  NotingRun(const Model& model, const at::Tensor& input) {
    model.check_evaluation();
    const std::vector<Layer> layers = model.find_layers([](const Layer&) { return true; });
    for (const Layer& layer : layers) {
      LayerInfo info{layer.name(), layer.type(), {}};
      info.is_leaf = layer.is_leaf();
      rows_.push_back({std::move(info), std::nullopt, {}, 0});
    }
    count_parameters(model);
    run(model, input, layers);
  }
  NotingRun(const NotingRun&) = delete;
  NotingRun& operator=(const NotingRun&) = delete;

  /// All layers, in the order of registration, each before what stands inside of it.
  const std::vector<Row>& rows() const { return rows_; }
  /// Those that ran and were seen, in the order in which they ended last.
  std::vector<const Row*> as_they_ended() const {
    std::vector<const Row*> seen;
    for (const Row& row : rows_) {
      if (row.ended > 0) seen.push_back(&row);
    }
    std::sort(seen.begin(), seen.end(), [](const Row* a, const Row* b) { return a->ended < b->ended; });
    return seen;
  }
  const Totals& totals() const { return totals_; }

 private:
  /// Notes the calls of one layer.
  class Note final : public Subscriber {
   public:
    Note(NotingRun& run, size_t row, std::string wanted) : run_(run), row_(row), wanted_(std::move(wanted)) {}
    at::Tensor enter(size_t /*index*/, const at::Tensor& input, Arrival /*arrival*/) override {
      run_.open_.insert(row_);
      return input;
    }
    void leave(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) override {
      run_.open_.erase(row_);
      run_.ended_.emplace(run_.counter_->operations(), row_);
      run_.note_call(run_.rows_[row_], inputs, outputs, wanted_);
    }
    void miss(const std::string& /*why*/) override { run_.open_.erase(row_); }

   private:
    NotingRun& run_;
    size_t row_;
    std::string wanted_;
  };

  void run(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers) {
    const NoGraph no_graph;
    std::vector<Watch> watches;
    for (size_t i = 0; i < layers.size(); ++i) {
      if (!layers[i].place().problem.empty()) continue;
      watches.push_back(model.watch(std::make_shared<Note>(*this, i, layers[i].place().output), layers[i]));
    }
    AxisObserver axes;
    const Observed noting_axes(axes);
    MultiplyAddCounter counter([this](int64_t count, const auto& operands) { add(count, operands); });
    counter_ = &counter;
    {
      const Observed counting(counter);
      totals_.output_shape = model.forward(input).sizes().vec();
    }
    totals_.not_counted = counter.hidden();
    for (Row& row : rows_) {
      if (row.ended == 0) continue;
      row.layout = layout_of(row.info.shape, axes.axes_of(row.output->impl()), input.sizes(), axes.grids());
      if (row.layout.reshape) row.info.maps = row.layout.shape;
    }
  }

  void count_parameters(const Model& model) {
    std::map<size_t, std::set<const void*>> counted;
    std::set<const void*> counted_in_all;
    for (const auto& [name, value] : model.parameters()) {
      const auto count = [&, &tensor = value](auto& counts, std::set<const void*>& seen) {
        if (!seen.insert(tensor.unsafeGetTensorImpl()).second) return;
        counts.parameters += tensor.numel();
        counts.trainable += tensor.requires_grad() ? tensor.numel() : 0;
      };
      count(totals_, counted_in_all);
      for (size_t i = 0; i < rows_.size(); ++i) {
        LayerInfo& info = rows_[i].info;
        if (!is_inside(name, info.name)) continue;
        count(info, counted[i]);
        if (name.find('.', info.name.size() + 1) == std::string::npos) owners_[storage_of(value)].insert(i);
      }
    }
  }

  void note_call(Row& row, const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs,
                 const std::string& wanted) {
    LayerInfo& info = row.info;
    ++info.calls;
    row.ended = 0;
    if (!outputs.empty()) {
      const at::Tensor& output = outputs[chosen_of(info.name, wanted, outputs, {})];
      if (output.defined()) {
        info.shape = output.sizes().vec();
        row.output = TensorRef(output);
        row.ended = ++ends_;
      }
    }
    std::set<const void*> known;
    for (const at::Tensor& input : inputs) known.insert(input.defined() ? storage_of(input) : nullptr);
    for (const at::Tensor& output : outputs) {
      if (!output.defined() || !known.insert(storage_of(output)).second) continue;
      info.activation_bytes += output.numel() * static_cast<int64_t>(output.element_size());
    }
  }

  /// The work belongs to the layer whose weight it reads, or to the innermost one under way.
  void add(int64_t count, const std::vector<at::Tensor>& operands) {
    totals_.multiply_adds += count;
    const std::string owner = owner_of(operands);
    for (Row& row : rows_) {
      if (row.info.name == owner || is_inside(owner, row.info.name)) row.info.multiply_adds += count;
    }
  }

  /// Layers that share a weight: one that is under way, or the first. Empty where the work is no layer's.
  std::string owner_of(const std::vector<at::Tensor>& operands) const {
    const std::set<size_t> running = under_way();
    for (const at::Tensor& operand : operands) {
      const auto found = owners_.find(storage_of(operand));
      if (found == owners_.end()) continue;
      for (const size_t row : found->second) {
        if (running.count(row) != 0) return rows_[row].info.name;
      }
      return rows_[*found->second.begin()].info.name;
    }
    std::string innermost;
    for (const size_t row : running) {
      if (rows_[row].info.name.size() > innermost.size()) innermost = rows_[row].info.name;
    }
    return innermost;
  }

  /// The layers that have begun and had not ended before the latest operation.
  std::set<size_t> under_way() const {
    std::set<size_t> all = open_;
    const auto latest = ended_.equal_range(counter_->operations());
    for (auto entry = latest.first; entry != latest.second; ++entry) all.insert(entry->second);
    return all;
  }

  std::vector<Row> rows_;
  Totals totals_;
  int64_t ends_ = 0;
  std::map<const void*, std::set<size_t>> owners_;  // a weight's memory, and whose it is
  const MultiplyAddCounter* counter_ = nullptr;
  std::set<size_t> open_;
  std::multimap<int64_t, size_t> ended_;  // at which operation
};

}  // namespace sightglass::detail
