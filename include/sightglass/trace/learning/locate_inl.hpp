#pragma once

#include "sightglass/trace/learning/locate.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Locator::Locator(const Recording& recording, const std::vector<Child>& children)
    : recording_(recording), taken_(recording.size(), 0) {
  for (const Child& child : children) {
    if (has_state(*child.module)) take_span_of(child);
  }
}

SIGHTGLASS_INLINE void Locator::locate(const std::vector<Child>& sought, Signature& signature) {
  std::vector<Search> searches;
  for (const Child& child : sought) searches.push_back(search_for(child));
  // The longer ones first: what they take is not offered to the others.
  std::stable_sort(searches.begin(), searches.end(),
                   [](const Search& a, const Search& b) { return a.length() > b.length(); });
  for (auto search = searches.begin(); search != searches.end();) {
    const auto end =
        std::find_if(search, searches.end(), [&](const Search& other) { return other.length() != search->length(); });
    for (auto each = search; each != end; ++each) each->forget([&](const Occurrence& o) { return is_taken(o); });
    for (auto each = search; each != end; ++each) settle(*each, twin_of(*each, search, end), signature);
    search = end;
  }
}

SIGHTGLASS_INLINE size_t Locator::Search::length() const {
  return found.empty() ? 0 : found.front().run.recording.size();
}

SIGHTGLASS_INLINE Locator::Search Locator::search_for(const Child& child) const {
  Search search{&child, {}, false};
  std::vector<size_t> behind_siblings;
  std::vector<size_t> others;
  for (size_t step = 0; step < recording_.size(); ++step) {
    if (!taken_[step]) (reads_of_sibling(step) ? behind_siblings : others).push_back(step);
  }
  std::vector<size_t> likely = behind_siblings;
  likely.insert(likely.end(), others.begin(), others.end());
  for (const size_t probed : likely) {
    const c10::FunctionSchema* const first = first_operation(child, probed);
    if (first == nullptr) continue;
    search.ran = true;
    look_at(
        child, [&](size_t step) { return recording_[step].schema == first; }, search);
    break;
  }
  if (search.ran && search.found.empty())
    look_at(
        child, [](size_t /*step*/) { return true; }, search);
  return search;
}

SIGHTGLASS_INLINE bool Locator::reads_of_sibling(size_t step) const {
  const auto tensors = flat_tensors(recording_[step].arguments);
  return std::any_of(tensors.begin(), tensors.end(), [&](const at::Tensor& tensor) {
    const Source maker = recording_.maker_of(tensor, step);
    return maker.made() && taken_[maker.step];
  });
}

SIGHTGLASS_INLINE const c10::FunctionSchema* Locator::first_operation(const Child& child, size_t step) const {
  for (const at::Tensor& input : flat_tensors(recording_[step].arguments)) {
    if (const auto run = run_of(child, input)) return run->recording.front().schema;
  }
  return nullptr;
}

SIGHTGLASS_INLINE bool Locator::is_taken(const Occurrence& occurrence) const {
  const auto begin = taken_.begin() + static_cast<std::ptrdiff_t>(occurrence.step);
  return std::any_of(begin, begin + static_cast<std::ptrdiff_t>(occurrence.run.recording.size()),
                     [](char taken) { return taken != 0; });
}

SIGHTGLASS_INLINE void Locator::settle(const Search& search, const Child* twin, Signature& signature) {
  if (twin == nullptr && search.found.size() == 1) {
    const Occurrence& only = search.found.front();
    std::vector<Span> spans = spans_at(only.run, only.step, only.input);
    std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(spans.back().begin),
              taken_.begin() + static_cast<std::ptrdiff_t>(spans.back().end), 1);
    for (Span& span : spans) signature.spans.insert(signature.spans.end() - 1, std::move(span));
    return;
  }
  const std::string problem =
      twin != nullptr ? "nothing tells it from its twin \"" + twin->name + "\""
      : !search.ran   ? "it could not be called on anything that the block around it works on, or it runs no operation"
      : search.found.empty()
          ? "its operations do not occur in the block around it"
          : "its operations occur " + std::to_string(search.found.size()) +
                " times in the block around it, and nothing tells which of them is the layer, or whether all are";
  for (const auto& inside : search.child->module->modules()) signature.problems[inside.get()] = problem;
}

SIGHTGLASS_INLINE std::optional<Locator::Run> Locator::run_of(const Child& child, const at::Tensor& input) {
  if (std::find(child.callable.input_counts.begin(), child.callable.input_counts.end(), 1U) ==
      child.callable.input_counts.end()) {
    return std::nullopt;
  }
  const at::NoGradGuard no_gradients;
  const at::Tensor sample = input.detach().clone();
  const GeneratorStates generators({sample});
  Recorder recorder({sample}, {}, {}, Recorder::Detail::full);
  PlainState preserved(child.module->modules());
  try {
    const Observed scope(recorder);
    std::vector<at::Tensor> values{sample};
    recorder.mark(child.module.get(), Side::begin, values);
    values = child.callable.call(*child.module, values);
    recorder.mark(child.module.get(), Side::end, values);
  } catch (const std::exception&) {
    preserved.put_back();
    return std::nullopt;
  }
  preserved.put_back();
  Run run{recorder.recording(), recorder.take().spans, sample};
  if (run.recording.empty()) return std::nullopt;
  return run;
}

SIGHTGLASS_INLINE bool Locator::matches(const Recording& own, size_t step, const at::Tensor& input,
                                        const at::Tensor& sample) const {
  if (step + own.size() > recording_.size()) return false;
  for (size_t i = 0; i < own.size(); ++i) {
    const RecordedStep& theirs = recording_[step + i];
    if (taken_[step + i] || theirs.schema != own[i].schema || theirs.arguments.size() != own[i].arguments.size())
      return false;
    for (size_t a = 0; a < own[i].arguments.size(); ++a) {
      if (!same_argument(own[i].arguments[a], theirs.arguments[a], sample, input)) return false;
    }
  }
  return true;
}

SIGHTGLASS_INLINE bool Locator::same_argument(const c10::IValue& own, const c10::IValue& theirs,
                                              const at::Tensor& sample, const at::Tensor& input) {
  if (own.tagKind() != theirs.tagKind()) return false;
  if (own.isTensor()) return !own.toTensor().is_same(sample) || theirs.toTensor().is_same(input);
  if (own.isTensorList() || own.isGenerator()) return true;
  return own == theirs;
}

SIGHTGLASS_INLINE std::vector<Span> Locator::spans_at(const Run& run, size_t step, const at::Tensor& input) const {
  std::vector<Span> spans = run.spans;
  for (Span& span : spans) {
    span.begin += step;
    span.end += step;
    const auto move = [&](Source& source) {
      if (source.kind == Source::Kind::input) {
        source = recording_.maker_of(input, step);
      } else if (source.made()) {
        source.step += step;
      }
    };
    for (Source& source : span.inputs) move(source);
    for (Source& source : span.outputs) move(source);
  }
  return spans;
}

SIGHTGLASS_INLINE void Locator::take_span_of(const Child& child) {
  ModuleRunnable runnable(child.module, child.name, child.callable);
  std::unordered_set<const void*> state;
  for (const at::Tensor& tensor : runnable.state()) state.insert(tensor.unsafeGetTensorImpl());
  const auto reads = [&](size_t step) {
    const auto tensors = flat_tensors(recording_[step].arguments);
    return std::any_of(tensors.begin(), tensors.end(),
                       [&](const at::Tensor& t) { return state.count(t.unsafeGetTensorImpl()) != 0; });
  };
  for (size_t step = 0; step < recording_.size(); ++step) {
    if (taken_[step] || !reads(step)) continue;
    if (const auto learned = child.callable ? learn_at(runnable, step) : std::nullopt) {
      const size_t first = step - learned->anchor;
      const size_t end = std::min(first + learned->steps.size(), recording_.size());
      std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(first), taken_.begin() + static_cast<std::ptrdiff_t>(end),
                1);
    } else {  // of unknown type: at least from its first to its last look at a parameter
      size_t last = step;
      for (size_t later = step; later < recording_.size(); ++later) last = reads(later) ? later : last;
      std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(step),
                taken_.begin() + static_cast<std::ptrdiff_t>(last) + 1, 1);
    }
  }
}

SIGHTGLASS_INLINE std::optional<Signature> Locator::learn_at(Runnable& runnable, size_t anchor) const {
  History history;
  TriedInputs tried;
  for (size_t step = 0; step < std::min(anchor + Limits::until_input, recording_.size()); ++step) {
    Event& event = history.begin(recording_[step].schema);
    for (const at::Tensor& tensor : flat_tensors(recording_[step].arguments)) event.give(tensor);
    if (step >= anchor) {
      if (Trial trial = learn(runnable, history, anchor, tried); trial.signature) return std::move(trial.signature);
    }
    for (const at::Tensor& tensor : recording_[step].results) event.results.emplace_back(tensor);
  }
  return std::nullopt;
}

SIGHTGLASS_INLINE BlockRunnable::BlockRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name,
                                               Callable callable, const std::vector<Child>& children)
    : ModuleRunnable(module, std::move(name), std::move(callable)) {
  for (const Child& child : children) children_.push_back({child.module, child.name, child.callable});
}

SIGHTGLASS_INLINE RunnableId BlockRunnable::id() const {
  return {ModuleRunnable::id().address, RunnableId::Kind::block};
}

SIGHTGLASS_INLINE void BlockRunnable::complete(Signature& signature, const Recording& recording) {
  std::vector<Child> children;
  for (const WeakChild& child : children_) {
    if (auto module = child.module.lock()) children.push_back({std::move(module), child.name, child.callable});
  }
  std::vector<Child> sought;
  for (const Child& child : children) {
    if (!has_state(*child.module) && child.callable) sought.push_back(child);
  }
  Locator(recording, children).locate(sought, signature);
}

SIGHTGLASS_INLINE uint64_t BlockRunnable::mode() const {
  uint64_t known = ModuleRunnable::mode();
  for (const WeakChild& child : children_) known = known * 31 + (child.callable ? 2 : 1);
  return known;
}

}  // namespace sightglass::detail
