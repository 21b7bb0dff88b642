#pragma once

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/model/model.hpp"
#include "sightglass/trace/observers/multiply_adds.hpp"
#include "sightglass/model/detail/table.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// One layer of a `Summary`. What stands inside a layer counts for it too.
struct LayerSummary {
  std::string path;  ///< such as `layer4.1.conv2`
  std::string type;  ///< such as `Conv2d`
  /// Of its (first) output at its last call; empty where it did not run or cannot be watched from outside.
  std::vector<int64_t> output_shape;
  int64_t parameters = 0;        ///< elements; those that several layers share count once
  int64_t trainable = 0;         ///< of them, those that require a gradient
  int64_t multiply_adds = 0;     ///< of all its calls
  int64_t activation_bytes = 0;  ///< of all its outputs; 0 for what is written in place or only seen another way
  int64_t calls = 0;             ///< 0: as for `output_shape`
  bool is_leaf = false;          ///< it has no submodules
};

/// What a model consists of and costs, as `summary` finds it.
struct Summary {
  std::vector<LayerSummary> layers;  ///< in the order of registration, each before what stands inside of it
  std::vector<int64_t> input_shape;
  std::vector<int64_t> output_shape;
  int64_t parameters = 0;
  int64_t trainable = 0;
  int64_t multiply_adds = 0;     ///< of the whole forward pass, also of operations outside of all layers
  int64_t activation_bytes = 0;  ///< the sum over layers without submodules
  /// Operations that ran and multiply matrices inside (`aten::lstm`), which are not counted.
  std::vector<std::string> not_counted;

  /// The layer at `path`. Throws for an unknown one, with the nearest.
  const LayerSummary& operator[](const std::string& path) const {
    const auto found =
        std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return layer.path == path; });
    std::vector<std::string> paths;
    for (const LayerSummary& layer : layers) paths.push_back(layer.path);
    TORCH_CHECK(found != layers.end(), "layer \"", path,
                "\": not in the summary; nearest: ", detail::nearest(path, paths));
    return *found;
  }

  /// A table in plain text, a line a layer, with the totals below.
  std::string text() const;
};

inline std::string Summary::text() const {
  detail::Table table({{"layer", detail::Align::left},
                       {"type", detail::Align::left},
                       {"output", detail::Align::left},
                       {"parameters", detail::Align::right},
                       {"trainable", detail::Align::right},
                       {"multiply-adds", detail::Align::right},
                       {"activations", detail::Align::right}});
  const auto row = [&](const std::string& name, const std::string& type, const std::vector<int64_t>& shape,
                       const auto& counts) {
    table.add({name, type, shape.empty() ? "-" : c10::str(at::IntArrayRef(shape)), detail::grouped(counts.parameters),
               detail::grouped(counts.trainable), detail::short_count(counts.multiply_adds),
               detail::short_bytes(counts.activation_bytes)});
  };
  for (const LayerSummary& layer : layers) {
    const auto depth = static_cast<size_t>(std::count(layer.path.begin(), layer.path.end(), '.'));
    row(std::string(2 * depth, ' ') + layer.path, layer.type, layer.output_shape, layer);
  }
  table.rule();
  row("total", "", output_shape, *this);
  std::string text = table.text() + "input " + c10::str(at::IntArrayRef(input_shape)) + "\n";
  if (!not_counted.empty())
    text += "multiply-adds inside of these are not counted: " + c10::Join(", ", not_counted) + "\n";
  return text;
}

inline std::ostream& operator<<(std::ostream& stream, const Summary& summary) { return stream << summary.text(); }

namespace detail {

/// `Conv2d` of `torch::nn::Conv2dImpl`, `Net` of `(anonymous namespace)::NetImpl`.
inline std::string short_type(std::string type) {
  const size_t arguments = type.find('<');
  const size_t scope = type.rfind("::", arguments);
  if (scope != std::string::npos) type.erase(0, scope + 2);
  const std::string impl = "Impl";
  if (type.size() > impl.size() && type.compare(type.size() - impl.size(), impl.size(), impl) == 0) {
    type.erase(type.size() - impl.size());
  }
  return type;
}

inline bool is_inside(const std::string& path, const std::string& outer) {
  return path.size() > outer.size() && path[outer.size()] == '.' && path.compare(0, outer.size(), outer) == 0;
}

/// Fills a summary while the model runs.
class SummaryMaker {
 public:
  explicit SummaryMaker(const Model& model) : model_(model) {
    for (const Layer& layer : model_.find_layers([](const Layer&) { return true; })) {
      layers_.push_back(layer);
      LayerSummary row;
      row.path = layer.name();
      row.type = short_type(layer.type());
      row.is_leaf = layer.is_leaf();
      summary_.layers.push_back(std::move(row));
    }
    count_parameters();
  }

  Summary run(const at::Tensor& input) {
    const detail::NoGraph no_graph;
    std::vector<Watch> watches;
    for (size_t i = 0; i < layers_.size(); ++i) {
      if (layers_[i].place().problem.empty())
        watches.push_back(model_.watch(std::make_shared<Note>(*this, i), layers_[i]));
    }
    MultiplyAddCounter counter([this](int64_t count, const auto& operands) { add(count, operands); });
    counter_ = &counter;
    {
      const Observed listening(counter);
      summary_.output_shape = model_.forward(input).sizes().vec();
    }
    summary_.input_shape = input.sizes().vec();
    summary_.not_counted = counter.hidden();
    for (const LayerSummary& row : summary_.layers) summary_.activation_bytes += row.is_leaf ? row.activation_bytes : 0;
    return std::move(summary_);
  }

 private:
  /// Notes the calls of one layer.
  class Note final : public Subscriber {
   public:
    Note(SummaryMaker& maker, size_t row) : maker_(maker), row_(row) {}
    at::Tensor enter(size_t /*index*/, const at::Tensor& input, Arrival /*arrival*/) override {
      maker_.open_.insert(row_);
      return input;
    }
    void leave(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) override {
      maker_.open_.erase(row_);
      maker_.ended_.emplace(maker_.counter_->operations(), row_);
      maker_.note_call(row_, inputs, outputs);
    }
    void miss(const std::string& /*why*/) override { maker_.open_.erase(row_); }

   private:
    SummaryMaker& maker_;
    size_t row_;
  };

  void count_parameters() {
    std::map<size_t, std::set<const void*>> counted;
    std::set<const void*> counted_in_all;
    for (const auto& [name, value] : model_.parameters()) {
      const auto count = [&, &tensor = value](auto& counts, std::set<const void*>& seen) {
        if (!seen.insert(tensor.unsafeGetTensorImpl()).second) return;
        counts.parameters += tensor.numel();
        counts.trainable += tensor.requires_grad() ? tensor.numel() : 0;
      };
      count(summary_, counted_in_all);
      for (size_t i = 0; i < layers_.size(); ++i) {
        if (!is_inside(name, summary_.layers[i].path)) continue;
        count(summary_.layers[i], counted[i]);
        if (name.find('.', summary_.layers[i].path.size() + 1) == std::string::npos)
          owners_[storage_of(value)].insert(i);
      }
    }
  }

  void note_call(size_t row, const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& outputs) {
    LayerSummary& layer = summary_.layers[row];
    if (layer.calls++ == 0) layer.activation_bytes = 0;
    if (!outputs.empty() && outputs.front().defined()) layer.output_shape = outputs.front().sizes().vec();
    std::set<const void*> known;
    for (const at::Tensor& input : inputs) known.insert(input.defined() ? storage_of(input) : nullptr);
    for (const at::Tensor& output : outputs) {
      if (!output.defined() || !known.insert(storage_of(output)).second) continue;
      layer.activation_bytes += output.numel() * static_cast<int64_t>(output.element_size());
    }
  }

  /// The work belongs to the layer whose weight it reads, or to the innermost one under way.
  void add(int64_t count, const std::vector<at::Tensor>& operands) {
    summary_.multiply_adds += count;
    const std::string owner = owner_of(operands);
    for (LayerSummary& layer : summary_.layers) {
      if (layer.path == owner || is_inside(owner, layer.path)) layer.multiply_adds += count;
    }
  }

  /// Layers that share a weight: one that is under way, or the first. Empty where the work is no layer's.
  std::string owner_of(const std::vector<at::Tensor>& operands) const {
    const std::set<size_t> running = under_way();
    for (const at::Tensor& operand : operands) {
      const auto found = owners_.find(storage_of(operand));
      if (found == owners_.end()) continue;
      for (const size_t row : found->second) {
        if (running.count(row) != 0) return summary_.layers[row].path;
      }
      return summary_.layers[*found->second.begin()].path;
    }
    std::string innermost;
    for (const size_t row : running) {
      if (summary_.layers[row].path.size() > innermost.size()) innermost = summary_.layers[row].path;
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

  const Model& model_;
  Summary summary_;
  std::vector<Layer> layers_;
  std::map<const void*, std::set<size_t>> owners_;  // a weight's memory, and whose it is
  const MultiplyAddCounter* counter_ = nullptr;
  std::set<size_t> open_;
  std::multimap<int64_t, size_t> ended_;  // at which operation
};

}  // namespace detail

/// What `model` consists of and costs, from one forward pass on `input`: for each layer its path, type, output shape,
/// parameters, multiply-adds and the memory of its activations.
///
/// Multiply-adds are counted where they happen, in convolutions, matrix products (`Linear` and attention are such) and
/// bilinear forms, whether in layers or functions, for `torch::nn` and TorchScript alike; products with padding count,
/// additions of a bias, normalisation, activations, pooling and interpolation do not, nor does what recurrent layers
/// and `einsum` do inside (`Summary::not_counted` names what ran of these). A layer has what reads its weights; a
/// product of activations belongs to the innermost layer under way, or to the whole where that layer cannot be watched.
///
/// Nothing of the model changes; it runs without gradients.
/// @param input `[N, ...]`: all figures are for this batch.
/// @throws c10::Error in training mode, where the pass would change batch norm.
inline Summary summary(const Model& model, const at::Tensor& input) {
  model.check_evaluation();
  return detail::SummaryMaker(model).run(input);
}

}  // namespace sightglass
