#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/learning/learn.hpp"
#include "sightglass/trace/learning/module.hpp"
#include "sightglass/trace/limits.hpp"

/// Where the children without parameters run inside of a block: nothing tells of them, so each is found by its own
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
  Locator(const Recording& recording, const std::vector<Child>& children);

  /// The calls of the children of `sought`, which have no parameters, and of the places in them; or why there is no
  /// telling.
  void locate(const std::vector<Child>& sought, Signature& signature);

 private:
  struct Run {
    Recording recording;
    std::vector<Span> spans;  ///< of the child and the places in it
    at::Tensor input;         ///< the sample it ran on
  };

  /// Where a child may have run.
  struct Occurrence {
    size_t step;
    at::Tensor input;
    Run run;
  };
  struct Search {
    const Child* child;
    std::vector<Occurrence> found;
    bool ran = false;  ///< on anything

    size_t length() const;
    template <class Which>
    void forget(const Which& which) {
      found.erase(std::remove_if(found.begin(), found.end(), which), found.end());
    }
  };

  /// Tries the child on tensors that it is likely to take first (a `forward` may end the process with an `assert`): on
  /// what a sibling made, then on what is read by operations like its own first; on others only if that finds nothing.
  Search search_for(const Child& child) const;

  bool reads_of_sibling(size_t step) const;

  const c10::FunctionSchema* first_operation(const Child& child, size_t step) const;

  template <class Which>
  void look_at(const Child& child, const Which& which, Search& search) const {
    for (size_t step = 0; step < recording_.size(); ++step) {
      if (taken_[step] || !which(step)) continue;
      for (const at::Tensor& input : flat_tensors(recording_[step].arguments)) {
        std::optional<Run> run = run_of(child, input);
        if (!run || !matches(run->recording, step, input, run->input)) continue;
        const size_t length = run->recording.size();
        search.found.push_back({step, input, std::move(*run)});
        step += length - 1;
        break;
      }
    }
  }

  bool is_taken(const Occurrence& occurrence) const;

  /// Another child that could have performed the same operations at one of the places, arguments included. Then the two
  /// cannot be told apart, even if only one of them runs.
  template <class Iterator>
  static const Child* twin_of(const Search& search, Iterator begin, Iterator end) {
    for (Iterator other = begin; other != end; ++other) {
      if (other->child->module == search.child->module) continue;
      for (const Occurrence& own : search.found) {
        const bool shared = std::any_of(other->found.begin(), other->found.end(),
                                        [&](const Occurrence& theirs) { return theirs.step == own.step; });
        if (shared) return other->child;
      }
    }
    return nullptr;
  }

  void settle(const Search& search, const Child* twin, Signature& signature);

  static std::optional<Run> run_of(const Child& child, const at::Tensor& input);

  /// The block's operations from `step` on are the child's, on `input` where the child read its sample.
  bool matches(const Recording& own, size_t step, const at::Tensor& input, const at::Tensor& sample) const;

  static bool same_argument(const c10::IValue& own, const c10::IValue& theirs, const at::Tensor& sample,
                            const at::Tensor& input);

  std::vector<Span> spans_at(const Run& run, size_t step, const at::Tensor& input) const;

  /// Marks the operations of a child that has parameters.
  void take_span_of(const Child& child);

  std::optional<Signature> learn_at(Runnable& runnable, size_t anchor) const;

  const Recording& recording_;
  std::vector<char> taken_;
};

/// The run of a block, with the places of its children that have no parameters.
class BlockRunnable final : public ModuleRunnable {
 public:
  BlockRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name, Callable callable,
                const std::vector<Child>& children);

  /// Not that of the module: its signature holds more.
  SIGHTGLASS_INLINE RunnableId id() const override;
  bool wants_recording() const override { return true; }

  SIGHTGLASS_INLINE void complete(Signature& signature, const Recording& recording) override;

  /// What is known of the children changes what can be found.
  SIGHTGLASS_INLINE uint64_t mode() const override;

 private:
  struct WeakChild {
    std::weak_ptr<torch::nn::Module> module;
    std::string name;
    Callable callable;
  };
  std::vector<WeakChild> children_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/locate_inl.hpp"
#endif
