#pragma once

#include "sightglass/model/detail/noting_run.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE NotingRun::NotingRun(const Model& model, const at::Tensor& input, Costs costs) {
  model.check_evaluation();
  const std::vector<Layer> layers = model.find_layers([](const Layer&) { return true; });
  for (const Layer& layer : layers) {
    LayerInfo info{layer.name(), layer.type(), {}};
    info.is_leaf = layer.is_leaf();
    row_of_.emplace(info.name, rows_.size());
    rows_.push_back({std::move(info), std::nullopt, {}, std::nullopt});
  }
  if (costs == Costs::counted) count_parameters(model);
  run(model, input, layers, costs);
}

SIGHTGLASS_INLINE std::vector<const NotingRun::Row*> NotingRun::as_they_ended() const {
  std::vector<const Row*> seen;
  for (const Row& row : rows_) {
    if (row.ended) seen.push_back(&row);
  }
  std::sort(seen.begin(), seen.end(), [](const Row* a, const Row* b) { return a->ended < b->ended; });
  return seen;
}

SIGHTGLASS_INLINE NotingRun::Note::Note(NotingRun& run, size_t row, std::optional<std::string> wanted)
    : run_(run), row_(row), wanted_(std::move(wanted)) {}

SIGHTGLASS_INLINE at::Tensor NotingRun::Note::enter(size_t /*index*/, const at::Tensor& input, Arrival /*arrival*/) {
  run_.open_.insert(row_);
  return input;
}

SIGHTGLASS_INLINE void NotingRun::Note::leave(const std::vector<at::Tensor>& inputs, std::vector<at::Tensor>& outputs) {
  run_.open_.erase(row_);
  if (run_.counter_ != nullptr) run_.ended_.emplace(run_.counter_->operations(), row_);
  run_.note_call(run_.rows_[row_], inputs, outputs, wanted_);
}

SIGHTGLASS_INLINE void NotingRun::run(const Model& model, const at::Tensor& input, const std::vector<Layer>& layers,
                                      Costs costs) {
  const NoGraph no_graph;
  std::vector<Watch> watches;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (!layers[i].place().problem.empty()) continue;
    watches.push_back(model.watch(std::make_shared<Note>(*this, i, layers[i].place().output), layers[i]));
  }
  AxisObserver axes;
  const Observed noting_axes(axes);
  MultiplyAddCounter counter([this](int64_t count, const auto& operands) { add(count, operands); });
  std::optional<Observed> counting;
  if (costs == Costs::counted) {
    counter_ = &counter;
    counting.emplace(counter);
  }
  totals_.output_shape = model.forward(input).sizes().vec();
  counting.reset();
  totals_.not_counted = counter.hidden();
  for (Row& row : rows_) {
    if (!row.ended) continue;
    row.layout = layout_of(row.info.shape, axes.axes_of(row.output->impl()), input.sizes(), axes.grids());
    if (row.layout.reshape) row.info.maps = row.layout.shape;
  }
}

SIGHTGLASS_INLINE std::vector<size_t> NotingRun::rows_around(const std::string& path) const {
  std::vector<size_t> around;
  for (size_t dot = path.rfind('.'); dot != std::string::npos && dot > 0; dot = path.rfind('.', dot - 1)) {
    if (const auto row = row_of_.find(path.substr(0, dot)); row != row_of_.end()) around.push_back(row->second);
  }
  return around;
}

SIGHTGLASS_INLINE void NotingRun::count_parameters(const Model& model) {
  std::map<size_t, std::set<const void*>> counted;
  std::set<const void*> counted_in_all;
  for (const auto& [name, value] : model.parameters()) {
    const auto count = [&, &tensor = value](auto& counts, std::set<const void*>& seen) {
      if (!seen.insert(tensor.unsafeGetTensorImpl()).second) return;
      counts.parameters += tensor.numel();
      counts.trainable += tensor.requires_grad() ? tensor.numel() : 0;
    };
    count(totals_, counted_in_all);
    const std::vector<size_t> around = rows_around(name);
    for (const size_t row : around) count(rows_[row].info, counted[row]);
    const bool is_own = !around.empty() && rows_[around.front()].info.name.size() == name.rfind('.');
    if (is_own) owners_[storage_of(value)].insert(around.front());
  }
}

SIGHTGLASS_INLINE void NotingRun::note_call(Row& row, const std::vector<at::Tensor>& inputs,
                                            const std::vector<at::Tensor>& outputs,
                                            const std::optional<std::string>& wanted) {
  LayerInfo& info = row.info;
  ++info.calls;
  row.ended.reset();
  if (!outputs.empty()) {
    const at::Tensor& output = outputs[chosen_of(info.name, wanted, outputs, {})];
    if (output.defined()) {
      info.shape = output.sizes().vec();
      row.output = TensorRef(output);
      row.ended = ends_++;
    }
  }
  std::set<const void*> known;
  for (const at::Tensor& input : inputs) known.insert(input.defined() ? storage_of(input) : nullptr);
  for (const at::Tensor& output : outputs) {
    if (!output.defined() || !known.insert(storage_of(output)).second) continue;
    info.activation_bytes += output.numel() * static_cast<int64_t>(output.element_size());
  }
}

SIGHTGLASS_INLINE void NotingRun::add(int64_t count, const std::vector<at::Tensor>& operands) {
  totals_.multiply_adds += count;
  const std::optional<size_t> owner = owner_of(operands);
  if (!owner) return;
  rows_[*owner].info.multiply_adds += count;
  for (const size_t row : rows_around(rows_[*owner].info.name)) rows_[row].info.multiply_adds += count;
}

SIGHTGLASS_INLINE std::optional<size_t> NotingRun::owner_of(const std::vector<at::Tensor>& operands) const {
  const std::set<size_t> running = under_way();
  for (const at::Tensor& operand : operands) {
    const auto found = owners_.find(storage_of(operand));
    if (found == owners_.end()) continue;
    for (const size_t row : found->second) {
      if (running.count(row) != 0) return row;
    }
    return *found->second.begin();
  }
  std::optional<size_t> innermost;
  for (const size_t row : running) {
    if (!innermost || rows_[row].info.name.size() > rows_[*innermost].info.name.size()) innermost = row;
  }
  return innermost;
}

SIGHTGLASS_INLINE std::set<size_t> NotingRun::under_way() const {
  std::set<size_t> all = open_;
  const auto latest = ended_.equal_range(counter_->operations());
  for (auto entry = latest.first; entry != latest.second; ++entry) all.insert(entry->second);
  return all;
}

}  // namespace sightglass::detail
