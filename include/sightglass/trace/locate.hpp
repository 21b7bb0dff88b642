#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sightglass/trace/learn.hpp"
#include "sightglass/trace/module.hpp"

/// Where the children without parameters run inside of a block: nothing betrays them, so each is sought by its own
/// operations, non-tensor arguments included, outside of the spans of its siblings. It must occur exactly once.
namespace sightglass::detail {

/// A direct child of a block; lists of modules are looked through.
struct Child {
  std::shared_ptr<torch::nn::Module> module;
  std::string name;
  Callable callable;
};

class Locator {
 public:
  /// `recording`: a trial run of the block; `children`: all of its direct children.
  Locator(const Recording& recording, const std::vector<Child>& children)
      : recording_(recording), taken_(recording.size(), 0) {
    for (const Child& child : children) {
      if (has_state(*child.module)) take_span_of(child);
    }
  }

  /// The call of a child without parameters, and of the places in it; or why there is no telling. What it takes is not
  /// offered to the next child: ask for the longest first.
  void locate(const Child& child, Signature& signature) {
    std::vector<std::vector<Span>> occurrences;
    bool ran = false;
    for (size_t step = 0; step < recording_.size(); ++step) {
      if (taken_[step]) continue;
      for (const at::Tensor& input : flat_tensors(recording_[step].arguments)) {
        const std::optional<Run> run = run_of(child, input);
        if (!run) continue;
        ran = true;
        if (!matches(run->recording, step, input, run->input)) continue;
        occurrences.push_back(spans_at(*run, step, input));
        step += run->recording.size() - 1;
        break;
      }
    }
    if (occurrences.size() == 1) {
      const Span& whole = occurrences.front().back();
      std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(whole.begin),
                taken_.begin() + static_cast<std::ptrdiff_t>(whole.end), 1);
      for (Span& span : occurrences.front()) signature.spans.insert(signature.spans.end() - 1, std::move(span));
      return;
    }
    const std::string problem =
        !ran ? "it could not be called on anything that the block around it works on, or it runs no operation"
        : occurrences.empty() ? "its operations do not occur in the block around it"
                              : "its operations occur " + std::to_string(occurrences.size()) +
                                    " times in the block around it, and nothing tells which of them is the layer";
    for (const auto& inside : child.module->modules()) signature.problems[inside.get()] = problem;
  }

 private:
  struct Run {
    Recording recording;
    std::vector<Span> spans;  ///< of the child and the places in it
    at::Tensor input;         ///< the sample it ran on
  };

  static std::optional<Run> run_of(const Child& child, const at::Tensor& input) {
    if (std::find(child.callable.input_counts.begin(), child.callable.input_counts.end(), 1U) ==
        child.callable.input_counts.end()) {
      return std::nullopt;
    }
    const at::NoGradGuard no_gradients;
    const at::Tensor sample = input.detach().clone();
    const GeneratorStates generators({sample});
    Recorder recorder({sample}, {}, {}, Recorder::Detail::full);
    try {
      const ListenerScope scope(recorder);
      std::vector<at::Tensor> values{sample};
      recorder.mark(child.module.get(), Side::begin, values);
      values = child.callable.call(*child.module, values);
      recorder.mark(child.module.get(), Side::end, values);
    } catch (const std::exception&) {
      return std::nullopt;
    }
    Run run{recorder.recording(), recorder.take().spans, sample};
    if (run.recording.empty()) return std::nullopt;
    return run;
  }

  /// The block's operations from `step` on are the child's, on `input` where the child read its sample.
  bool matches(const Recording& own, size_t step, const at::Tensor& input, const at::Tensor& sample) const {
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

  static bool same_argument(const c10::IValue& own, const c10::IValue& theirs, const at::Tensor& sample,
                            const at::Tensor& input) {
    if (own.tagKind() != theirs.tagKind()) return false;
    if (own.isTensor()) return !own.toTensor().is_same(sample) || theirs.toTensor().is_same(input);
    if (own.isTensorList() || own.isGenerator()) return true;
    return own == theirs;
  }

  std::vector<Span> spans_at(const Run& run, size_t step, const at::Tensor& input) const {
    std::vector<Span> spans = run.spans;
    for (Span& span : spans) {
      span.begin += step;
      span.end += step;
      const auto move = [&](Slot& slot) {
        if (slot.step == Slot::given) {
          slot = recording_.maker_of(input, step);
        } else if (slot.made()) {
          slot.step += static_cast<int64_t>(step);
        }
      };
      for (Slot& slot : span.inputs) move(slot);
      for (Slot& slot : span.outputs) move(slot);
    }
    return spans;
  }

  /// Marks the operations of a child that has parameters.
  void take_span_of(const Child& child) {
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
        std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(first),
                  taken_.begin() + static_cast<std::ptrdiff_t>(end), 1);
      } else {  // of unknown type: at least from its first to its last look at a parameter
        size_t last = step;
        for (size_t later = step; later < recording_.size(); ++later) last = reads(later) ? later : last;
        std::fill(taken_.begin() + static_cast<std::ptrdiff_t>(step),
                  taken_.begin() + static_cast<std::ptrdiff_t>(last) + 1, 1);
      }
    }
  }

  std::optional<Signature> learn_at(Runnable& runnable, size_t anchor) const {
    constexpr size_t patience = 16;
    History history;
    TriedInputs tried;
    for (size_t step = 0; step < std::min(anchor + patience, recording_.size()); ++step) {
      Event& event = history.begin(recording_[step].schema);
      for (const at::Tensor& tensor : flat_tensors(recording_[step].arguments)) event.give(tensor);
      if (step >= anchor) {
        if (Trial trial = learn(runnable, history, anchor, tried); trial.signature) return std::move(trial.signature);
      }
      for (const at::Tensor& tensor : recording_[step].results) event.results.emplace_back(tensor);
    }
    return std::nullopt;
  }

  const Recording& recording_;
  std::vector<char> taken_;
};

/// The run of a block, with the places of its children that have no parameters.
class BlockRunnable final : public ModuleRunnable {
 public:
  BlockRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name, Callable callable,
                const std::vector<Child>& children)
      : ModuleRunnable(module, std::move(name), std::move(callable)) {
    for (const Child& child : children) children_.push_back({child.module, child.name, child.callable});
  }

  /// Not that of the module: its signature holds more.
  const void* id() const override { return static_cast<const char*>(ModuleRunnable::id()) + 2; }
  bool wants_recording() const override { return true; }

  void complete(Signature& signature, const Recording& recording) override {
    std::vector<Child> children;
    for (const WeakChild& child : children_) {
      if (auto module = child.module.lock()) children.push_back({std::move(module), child.name, child.callable});
    }
    Locator locator(recording, children);
    for (const bool containers : {true, false}) {
      for (const Child& child : children) {
        const bool sought =
            !has_state(*child.module) && child.callable && containers == !child.module->children().empty();
        if (sought && !has_twin(child, children, signature)) locator.locate(child, signature);
      }
    }
  }

 private:
  /// Two siblings that do the same cannot be told apart, even if only one of them runs.
  static bool has_twin(const Child& child, const std::vector<Child>& children, Signature& signature) {
    for (const Child& other : children) {
      if (other.module == child.module || typeid(*other.module) != typeid(*child.module) || has_state(*other.module))
        continue;
      if (c10::str(*other.module) != c10::str(*child.module)) continue;
      signature.problems[child.module.get()] = "nothing tells it from its twin \"" + other.name + "\"";
      return true;
    }
    return false;
  }

  struct WeakChild {
    std::weak_ptr<torch::nn::Module> module;
    std::string name;
    Callable callable;
  };
  std::vector<WeakChild> children_;
};

}  // namespace sightglass::detail
