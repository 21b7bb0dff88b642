#pragma once

#include "sightglass/model/detail/runner.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE at::Tensor forward_with(const Model& model, const at::Tensor& input, const Layer& layer,
                                          const at::Tensor& activations, size_t call) {
  const auto replacement = std::make_shared<Replacement>(layer, activations.clone(), call);
  const auto alone = std::make_shared<Tracker>();
  const Observed listening(*alone);
  const Watch watch = model.watch(replacement, layer, alone);
  at::Tensor output = model.forward(input);
  replacement->check();
  return output;
}

SIGHTGLASS_INLINE at::Tensor forward_for_gradients(const Model& model, const at::Tensor& input) {
  try {
    return model.forward(input);
  } catch (...) {
    model.check_differentiable();
    throw;
  }
}

SIGHTGLASS_INLINE Runner::Runner(const Model& model, const std::vector<Layer>& layers) : model_(model) {
  layers_.reserve(layers.size());
  for (const Layer& layer : layers) layers_.push_back(model.layer(layer));
}

SIGHTGLASS_INLINE Runner::Runner(const Model& model, const std::vector<Layer>& layers, const at::Tensor& input,
                                 Tail tail)
    : Runner(model, layers) {
  const NoGraphYet no_graph_yet;
  input_ = input.is_inference() ? input.clone() : input.detach();
  points_ = new_points();
  const std::optional<Splits::Key> key = this->key(input_);
  const bool in_parts = tail == Tail::once || model.runs_marked();
  if (key && in_parts) split_ = model_.splits_->find(*key);
  if (split_ == nullptr || !model.runs_marked()) model.check_evaluation();  // else the split would be stale
  find_layouts();
  if (split_ != nullptr) {
    run_in_parts();
  } else {
    run_whole(tail);
  }
  check_run();
  if (split_ == nullptr && key && model_.splits_->misses(*key)) learn_split(*key);
}

SIGHTGLASS_INLINE at::Tensor Runner::forward(const at::Tensor& input) const {
  const std::optional<Splits::Key> key = this->key(input);
  if (!key) return model_.forward(input);
  if (const auto split = model_.splits_->find(*key)) return split->whole(input);
  if (model_.splits_->misses(*key)) return Runner(model_, layers_, input, Tail::once).output().detach();
  return model_.forward(input);
}

SIGHTGLASS_INLINE std::shared_ptr<const Split> Runner::split_for(const at::Tensor& input) const {
  const std::optional<Splits::Key> key = this->key(input);
  return key ? model_.splits_->find(*key) : nullptr;
}

SIGHTGLASS_INLINE at::Tensor Runner::tail(size_t cut, const at::Tensor& activations, const at::Tensor& images) {
  if (stands_at_split(cut) && !split_->tail_reads_input()) return split_->tail(activations, input_);
  const at::Tensor rows = moved_to(input_.device(), images);
  if (stands_at_split(cut)) return split_->tail(activations, input_.index_select(0, rows));
  if (elides(cut)) {
    at::Tensor output = elided_tail(cut, activations, rows);
    if (output.defined()) return output;
  }
  return forward_with(model_, input_.index_select(0, rows), layers_[cut], activations, points_[cut]->call());
}

SIGHTGLASS_INLINE bool Runner::elided(size_t cut) { return stands_at_split(cut) || elides(cut); }

SIGHTGLASS_INLINE Runner::Points Runner::new_points() const {
  Points points;
  points.reserve(layers_.size());
  const auto tracker = Tracker::of_thread();
  for (const Layer& layer : layers_) points.push_back(std::make_shared<CutPoint>(layer, points.size(), tracker));
  return points;
}

SIGHTGLASS_INLINE std::vector<Watch> Runner::watches_of(const Points& points) const {
  std::vector<Watch> watches;
  watches.reserve(points.size());
  for (size_t i = 0; i < points.size(); ++i) watches.push_back(model_.watch(points[i], layers_[i]));
  return watches;
}

SIGHTGLASS_INLINE void Runner::run_whole(Tail tail) {
  const std::vector<Watch> watches = watches_of(points_);
  if (tail == Tail::again) tape_ = std::make_unique<Tape>(input_, cuts());
  const Tracker::Taping taping(Tracker::of_thread(), tape_.get());
  if (std::find(layouts_.begin(), layouts_.end(), nullptr) == layouts_.end()) {
    output_ = forward_for_gradients(model_, input_);
    return;
  }
  AxisObserver observer;
  {
    const Observed listening(observer);
    output_ = forward_for_gradients(model_, input_);
  }
  for (size_t i = 0; i < cuts(); ++i) {
    layouts_[i] = std::make_shared<const Layout>(
        layout_of(points_[i]->activations().sizes(), points_[i]->axes(observer), input_.sizes(), observer.grids()));
    LayoutStore::global().put(layers_[i], input_.sizes(), layouts_[i]);
  }
}

SIGHTGLASS_INLINE void Runner::find_layouts() {
  layouts_.reserve(layers_.size());
  for (const Layer& layer : layers_) layouts_.push_back(LayoutStore::global().find(layer, input_.sizes()));
}

SIGHTGLASS_INLINE void Runner::check_run() const {
  TORCH_CHECK(output_.defined() && output_.dim() >= 1, "model: it gives ",
              output_.defined() ? "one number" : "an undefined tensor",
              "; expected an output for each image, [N, ...]");
  for (const auto& point : points_) {
    point->check();
    TORCH_CHECK(point->activations().size(0) == output_.size(0), "layer \"", point->name(), "\": its output ",
                point->activations().sizes(), " has another batch size than the model's ", output_.sizes(),
                "; its rows are not the pictures (windows or patches are folded into them): take a layer around it");
  }
}

SIGHTGLASS_INLINE std::optional<Splits::Key> Runner::key(const at::Tensor& input) const {
  const auto has_chosen_call = [](const Layer& layer) { return layer.place().call.has_value(); };
  if (!model_.may_be_split() || std::any_of(layers_.begin(), layers_.end(), has_chosen_call)) return std::nullopt;
  return Splits::key(layers_, input, model_.runs_marked() ? SplitFor::any_size : SplitFor::this_size);
}

SIGHTGLASS_INLINE void Runner::run_in_parts() {
  if (split_->place() == nullptr) {
    output_ = split_->whole(input_);
    return;
  }
  std::vector<at::Tensor> outputs{split_->prefix(input_)};
  std::vector<Watch> watches;
  for (size_t i = 0; i < cuts(); ++i) {
    if (stands_at_split(i)) {
      points_[i]->leave({}, outputs);
    } else {
      watches.emplace_back(points_[i], layers_[i], Watch::By::marks);
    }
  }
  output_ = split_->tail(outputs.front(), input_);
}

SIGHTGLASS_INLINE bool Runner::stands_at_split(size_t cut) const {
  return split_ != nullptr && layers_[cut].place().key == split_->place();
}

SIGHTGLASS_INLINE void Runner::learn_split(const Splits::Key& key) const {
  const auto same = [this](const Split& split) {
    if (split.place() == nullptr) return equal_but_rounding(split.whole(input_), output_);
    const auto stands = [&](const Layer& layer) { return layer.place().key == split.place(); };
    const auto first = std::find_if(layers_.begin(), layers_.end(), stands) - layers_.begin();
    const at::Tensor& activations = points_.at(static_cast<size_t>(first))->activations();
    return equal_but_rounding(split.prefix(input_), activations) &&
           equal_but_rounding(split.tail(activations, input_), output_);
  };
  model_.splits_->learn(
      key, [this] { return make_split(); }, same);
}

SIGHTGLASS_INLINE std::shared_ptr<const Split> Runner::make_split() const {
  std::set<const void*> places;
  for (const Layer& layer : layers_) places.insert(layer.place().key);
  const auto dims = static_cast<size_t>(input_.dim());
  const auto& script = model_.script_;
  if (model_.runs_marked())
    return std::make_shared<const Split>(*script->marked_graph(), script->object(), places, dims, model_.output_);
  TORCH_CHECK(script == nullptr, "a function runs the TorchScript model, which is not looked into");
  const Traced traced = traced_run();
  return std::make_shared<const Split>(*traced.graph, traced.self._ivalue(), places, dims);
}

SIGHTGLASS_INLINE Traced Runner::traced_run() const {
  const auto alone = std::make_shared<Tracker>();
  const Observed listening(*alone);
  std::vector<Watch> watches;
  for (const Layer& layer : layers_)
    watches.push_back(model_.watch(std::make_shared<TraceMark>(layer.place().key), layer, alone));
  std::vector<at::Tensor> state = model_.module_->parameters();
  for (const at::Tensor& buffer : model_.module_->buffers()) state.push_back(buffer);
  return trace([this](const at::Tensor& x) { return model_.forward(x); }, state, input_);
}

SIGHTGLASS_INLINE bool Runner::elides(size_t cut) {
  elides_.resize(cuts(), Elides::unknown);
  Elides& known = elides_[cut];
  if (known == Elides::unknown) known = try_eliding(cut) ? Elides::yes : Elides::no;
  return known == Elides::yes;
}

SIGHTGLASS_INLINE bool Runner::try_eliding(size_t cut) {
  if (tape_ == nullptr) tape_ = run_on_tape();
  const at::Tensor& activations = points_[cut]->activations();
  if (!tape_->cut(cut).found || activations.sizes() != tape_->made_at(cut)) return false;
  const int64_t last = activations.size(0) - 1;
  const at::Tensor rows =
      moved_to(activations.device(),
               at::tensor(last == 1 ? std::vector<int64_t>{1, 0, 1} : std::vector<int64_t>{last, 0}, at::kLong));
  return equal_but_rounding(elided_tail(cut, activations.index_select(0, rows), rows),
                            output_.detach().index_select(0, rows));
}

SIGHTGLASS_INLINE std::unique_ptr<Tape> Runner::run_on_tape() const {
  model_.check_evaluation();
  const NoGraphYet no_graph_yet;
  auto tape = std::make_unique<Tape>(input_, cuts());
  const std::vector<Watch> watches = watches_of(new_points());
  const Tracker::Taping taping(Tracker::of_thread(), tape.get());
  (void)forward_for_gradients(model_, input_);
  return tape;
}

SIGHTGLASS_INLINE at::Tensor Runner::elided_tail(size_t cut, const at::Tensor& activations,
                                                 const at::Tensor& rows) const {
  Elision elision(*tape_, cut, tape_->cut(cut).written ? activations.clone() : activations, rows);
  std::vector<int64_t> sizes = input_.sizes().vec();
  sizes[0] = rows.size(0);
  const at::Tensor input = tape_->reads_input() ? input_.index_select(0, rows) : empty_shell(sizes, input_.options());
  try {
    const Observed listening(elision);
    at::Tensor output = model_.forward(input);
    return elision.reached_cut() ? output : at::Tensor();
  } catch (...) {
    if (elision.failure().empty()) throw;
    return {};
  }
}

}  // namespace sightglass::detail
