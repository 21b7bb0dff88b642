#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/learn.hpp"
#include "sightglass/trace/signature_store.hpp"
#include "sightglass/trace/subscriber.hpp"

/// Follows a model's run operation by operation along a signature, and tells when places begin and end.
///
/// Longer than other headers: one state machine, whose steps all read and write the same call under way.
namespace sightglass::detail {

/// One runnable, watched on one thread for any number of places inside of it.
class Follower {
 public:
  explicit Follower(std::shared_ptr<Runnable> owner)
      : owner_(std::move(owner)),
        while_watched_(owner_->while_watched()),
        state_(state_refs(*owner_)),
        signature_(SignatureStore::global().find(*owner_)) {}

  Runnable& owner() const { return *owner_; }
  void subscribe(const void* place, std::shared_ptr<Subscriber> subscriber) {
    subscribers_.emplace_back(place, std::move(subscriber));
    note_signature(std::move(signature_));
  }
  /// The parameters and buffers that betray the owner; `renew_state` where they may have been replaced.
  const StateRefs& state() const { return state_; }
  void renew_state() { state_ = state_refs(*owner_); }
  /// Operations of the call under way; 0 when there is none. Inner layers are shorter than those around them.
  size_t length() const { return call_ ? call_->signature->steps.size() : 0; }
  /// True while its last run leaves something to learn: then the recent tensors are kept alive.
  bool wants_recent() const { return signature_ == nullptr && failures_ < 3; }
  /// How many of the latest operations somebody may ask for once the layer is recognised: what it does before its
  /// anchor would be gone by then.
  size_t recent() const {
    constexpr size_t while_learning = 8;
    return signature_ != nullptr ? reach_ : wants_recent() ? while_learning : 0;
  }
  /// Whether the tensors of this operation are kept alive for that.
  bool wants_kept(const c10::FunctionSchema* schema) const { return recent() > 0 && may_begin_with(schema); }

  /// True while more has to be known of past operations than that they were: what they were given and made. Where a
  /// learned layer begins at its anchor and nobody asks for inputs, it has not.
  bool wants_history() const {
    return signature_ == nullptr || signature_->anchor > 0 || !pending_.empty() ||
           std::any_of(subscribers_.begin(), subscribers_.end(),
                       [](const auto& s) { return s.second->wants_inputs(); });
  }
  /// True where an operation may be one before the anchor, so that what it writes may be an input.
  bool may_begin_with(const c10::FunctionSchema* schema) const {
    if (signature_ == nullptr) return wants_recent();
    const auto anchor = signature_->steps.begin() + static_cast<std::ptrdiff_t>(signature_->anchor);
    return std::find(signature_->steps.begin(), anchor, schema) != anchor;
  }

  /// Forgets who was removed; returns whether anybody is left.
  bool purge() {
    subscribers_.erase(
        std::remove_if(subscribers_.begin(), subscribers_.end(), [](const auto& s) { return s.second->removed(); }),
        subscribers_.end());
    return !subscribers_.empty();
  }

  /// Throws when the model goes on with a tensor of a trial run.
  void refuse_stray(const at::Tensor& tensor) const {
    for (const TensorRef& stray : strays_) {
      TORCH_CHECK(
          stray.impl() != tensor.unsafeGetTensorImpl(), owner_->describe(),
          " keeps tensors from one call to the next, so that it cannot be run on trial without changing what the model "
          "computes; where they depend on the input's size only, it can be hooked after one plain run at this size; "
          "else ",
          owner_->remedy());
    }
  }

  /// Before an operation, which is the history's latest event. `touched`: it reads a parameter or buffer of the owner.
  void before(const OperatorHandle& op, Stack& stack, const History& history, bool touched) {
    const c10::FunctionSchema* const schema = &op.schema();
    if (call_ && !is_next(schema, history)) resume(history, touched);
    if (!call_ && touched) begin(schema, history);
    if (!call_ && !pending_.empty()) try_to_learn(history);
    if (call_) read_inputs(op, stack, history);
  }

  /// After it, with its results on the stack.
  void after(const OperatorHandle& op, Stack& stack) {
    if (!call_) return;
    const auto step = static_cast<int64_t>(call_->position++);
    const std::vector<at::Tensor> made =
        wanted_from(step) ? flat_tensors(results(op, stack)) : std::vector<at::Tensor>();
    for (size_t index = 0; index < made.size(); ++index) {
      const auto kept = call_->kept.find({step, index});
      if (kept != call_->kept.end()) kept->second.tensor = made[index];
    }
    finish_spans(&op, &stack);
    if (call_ && call_->position == call_->signature->steps.size()) call_.reset();
  }

  /// The operation threw: whatever ran has ended.
  void abort() {
    call_.reset();
    pending_.clear();
  }

 private:
  using SlotKey = std::pair<int64_t, size_t>;
  static SlotKey key(const Slot& slot) { return {slot.step, slot.index}; }

  /// One subscriber at one call of its place.
  struct Watch {
    const Span* span;
    std::shared_ptr<Subscriber> subscriber;
    std::vector<at::Tensor> inputs;
    std::vector<char> entered;
    bool done = false;
  };
  /// A tensor that some watches will ask for; let go with the last of them.
  struct Kept {
    at::Tensor tensor;
    int uses = 0;
  };
  /// An input, and what the place goes on with until it ends.
  struct Replaced {
    at::Tensor from;
    at::Tensor to;
    size_t end;
  };
  /// An event that may be the anchor of a call under way.
  struct Pending {
    uint64_t anchor;
    TriedInputs tried;
    std::string failure = "none of the tensors seen so far can be its input";
  };
  struct Call {
    std::shared_ptr<const Signature> signature;
    size_t position = 0;
    size_t next_read = 0;  ///< of the signature's `state_reads`: that of the present position or later
    uint64_t first_event = 0;
    std::vector<Watch> watches;
    std::map<SlotKey, Kept> kept;
    std::vector<Replaced> replaced;
  };

  bool wanted_from(int64_t step) const {
    const auto first = call_->kept.lower_bound({step, 0});
    return first != call_->kept.end() && first->first.first == step;
  }

  /// Takes another signature, and what it means for the operations before its anchor.
  void note_signature(std::shared_ptr<const Signature> signature) {
    signature_ = std::move(signature);
    reach_ = 0;
    if (signature_ == nullptr) return;
    size_t earliest = signature_->anchor;
    const auto needs = [&](const Slot& slot) {
      if (slot.made()) earliest = std::min(earliest, static_cast<size_t>(slot.step));
      if (slot.step == Slot::given) earliest = std::min(earliest, signature_->inputs[slot.index].step);
    };
    for (const Span& span : signature_->spans) {
      for (const auto& [place, subscriber] : subscribers_) {
        if (place != span.place) continue;
        std::for_each(span.outputs.begin(), span.outputs.end(), needs);
        if (subscriber->wants_inputs()) std::for_each(span.inputs.begin(), span.inputs.end(), needs);
      }
    }
    if (earliest < signature_->anchor) reach_ = signature_->anchor - earliest + 1;
  }

  /// Whether the operation that is about to run is the call's next, on the same parameters and buffers.
  bool is_next(const c10::FunctionSchema* schema, const History& history) {
    if (call_->signature->steps[call_->position] != schema) return false;
    const std::vector<const void*>& given = history[history.latest()].given;
    if (reads_its_own(given)) return true;
    renew_state();  // they may have been replaced
    return reads_its_own(given);
  }

  bool reads_its_own(const std::vector<const void*>& given) {
    const std::vector<StateRead>& reads = call_->signature->state_reads;
    size_t& next = call_->next_read;
    while (next < reads.size() && reads[next].step < call_->position) ++next;
    for (size_t i = next; i < reads.size() && reads[i].step == call_->position; ++i) {
      if (!reads_the_same(reads[i], given, state_)) return false;
    }
    return true;
  }

  /// Whether the latest operation is the call's next by name, but on a parameter of somebody else.
  bool is_of_another(const History& history) const {
    const Event& latest = history[history.latest()];
    if (call_->signature->steps[call_->position] != latest.schema) return false;
    const auto is_own = [&](const void* impl) {
      return std::any_of(state_.begin(), state_.end(), [&](const TensorRef& own) { return own.impl() == impl; });
    };
    const std::vector<StateRead>& reads = call_->signature->state_reads;
    return std::any_of(reads.begin(), reads.end(), [&](const StateRead& read) {
      return read.step == call_->position &&
             (read.argument >= latest.given.size() || !is_own(latest.given[read.argument]));
    });
  }

  /// An operation reads a parameter of an owner that is not being followed: its anchor, or something else (an
  /// optimiser).
  void begin(const c10::FunctionSchema* schema, const History& history) {
    if (owner_->lifetime().expired()) return;
    if (signature_ == nullptr || signature_->mode != owner_->mode())
      note_signature(SignatureStore::global().find(*owner_));
    if (signature_ != nullptr && agrees(*signature_, history, history.latest(), {}, state_))
      return start(history, history.latest());
    if (const auto refused = refused_.find(schema); refused != refused_.end() && refused->second >= 2) return;
    renew_state();
    pending_.push_back({history.latest(), {}});
  }

  /// Each operation that read a parameter may be the anchor of a call under way; what it was given may come later.
  void try_to_learn(const History& history) {
    constexpr uint64_t patience = 16;
    for (size_t i = 0; i < pending_.size();) {
      const uint64_t anchor = pending_[i].anchor;
      Trial trial = try_anchor(history, anchor, pending_[i].tried);
      if (!trial.failure.empty()) pending_[i].failure = trial.failure;
      if (trial.signature) {
        pending_.clear();
        adopt(std::move(*trial.signature));
        return start(history, anchor);
      }
      if (history.latest() - anchor < patience) {
        ++i;
        continue;
      }
      const std::string failure =
          "it has not run and something else read its parameters, or its input could not be told; the last trial: " +
          pending_[i].failure;
      pending_.erase(pending_.begin() + static_cast<std::ptrdiff_t>(i));
      ++failures_;
      const c10::FunctionSchema* const read_by = history[anchor].schema;
      ++refused_[read_by];
      // Whatever else reads a parameter later, an optimiser or an average, says nothing about the layer.
      const bool is_first = signature_ == nullptr && (failed_at_ == nullptr || failed_at_ == read_by);
      if (is_first) failed_at_ = read_by;
      for (const auto& [place, subscriber] : subscribers_) {
        is_first ? subscriber->miss(failure) : subscriber->wonder(failure);
      }
    }
  }

  Trial try_anchor(const History& history, uint64_t anchor, TriedInputs& tried) {
    Trial trial = learn(*owner_, history, anchor, tried);
    strays_.insert(strays_.end(), trial.strays.begin(), trial.strays.end());
    return trial;
  }

  void adopt(Signature signature) {
    note_signature(std::make_shared<const Signature>(std::move(signature)));
    SignatureStore::global().put(*owner_, signature_);
  }

  /// The run left the signature (control flow that depends on the data, or a forward that was broken off).
  void resume(const History& history, bool touched) {
    const uint64_t anchor = call_->first_event + call_->signature->anchor;
    const bool of_another = is_of_another(history);
    const std::vector<Watch> watches = std::move(call_->watches);
    Told told;
    for (const Watch& watch : watches) told[watch.subscriber.get()] += watch.done ? 1 : 0;
    call_.reset();
    if (touched && agrees(*signature_, history, history.latest(), {}, state_)) return start(history, history.latest());
    constexpr int attempts = 2;
    TriedInputs tried;
    const bool may_learn = history.holds(anchor) && (!of_another || others_ < attempts);
    Trial trial = may_learn ? try_anchor(history, anchor, tried) : Trial{};
    if (trial.signature) {
      adopt(std::move(*trial.signature));
      return start(history, anchor, std::move(told));
    }
    if (of_another) return tell_of_another(watches);
    note_signature(nullptr);
    for (const Watch& watch : watches) {
      if (watch.done) continue;
      watch.subscriber->miss(
          "its parameters were read, but what followed are not the operations of its forward; it has not run, or not "
          "as "
          "on trial: " +
          trial.failure);
    }
  }

  /// A layer elsewhere performs the same operations, after a part of this one: its signature is still right, but what
  /// was told of the call is not.
  void tell_of_another(const std::vector<Watch>& watches) {
    ++others_;
    const std::string why = "only parts of " + owner_->describe() +
                            " ran, outside of its forward: where its forward reads parameters of its own, the model "
                            "went on with those of another layer";
    for (const Watch& watch : watches) watch.done ? watch.subscriber->miss(why) : watch.subscriber->wonder(why);
  }

  /// Of how many calls of their places subscribers have been told.
  using Told = std::map<const Subscriber*, size_t>;

  /// A call whose anchor was `anchor_event` is under way; the latest event is about to be run. `told`: before the call
  /// left the signature that it was thought to have.
  void start(const History& history, uint64_t anchor_event, Told told = {}) {
    call_ = std::make_unique<Call>();
    call_->signature = signature_;
    call_->first_event = anchor_event - signature_->anchor;
    call_->position = static_cast<size_t>(history.latest() - call_->first_event);
    for (const Span& span : signature_->spans) {
      for (const auto& [place, subscriber] : subscribers_) {
        if (place != span.place || subscriber->removed()) continue;
        if (size_t& before = told[subscriber.get()]; before > 0) {
          --before;
          continue;
        }
        call_->watches.push_back(
            {&span, subscriber, std::vector<at::Tensor>(span.inputs.size()), std::vector<char>(span.inputs.size(), 0)});
        for (const Slot& slot : span.outputs) keep(slot, history);
        if (!subscriber->wants_inputs()) continue;
        for (const Slot& slot : span.inputs) keep(slot, history);
      }
    }
    for (const auto& [place, subscriber] : subscribers_) {
      const bool inside = std::any_of(signature_->spans.begin(), signature_->spans.end(),
                                      [place = place](const Span& span) { return span.place == place; });
      if (inside) continue;
      const auto problem = signature_->problems.find(place);
      subscriber->miss(problem == signature_->problems.end() ? "it did not run where " + owner_->describe() + " ran"
                                                             : problem->second);
    }
    // Inputs and results of the operations that ran before the layer was recognised.
    for (size_t i = 0; i < signature_->inputs.size(); ++i) take_input(i, history);
    finish_spans(nullptr, nullptr);
  }

  /// Reserves a place for a tensor that a watch will ask for; takes it from the history when it was made already.
  void keep(const Slot& slot, const History& history) {
    if (slot.step == Slot::nowhere) return;
    Kept& kept = call_->kept[key(slot)];
    ++kept.uses;
    if (!slot.made() || static_cast<size_t>(slot.step) >= call_->position) return;
    kept.tensor = history.made(call_->first_event + static_cast<uint64_t>(slot.step), slot.index);
  }

  void let_go(const Slot& slot) {
    const auto kept = call_->kept.find(key(slot));
    if (kept != call_->kept.end() && --kept->second.uses <= 0) call_->kept.erase(kept);
  }

  at::Tensor kept_at(const Slot& slot) const {
    const auto kept = call_->kept.find(key(slot));
    return kept == call_->kept.end() ? at::Tensor() : kept->second.tensor;
  }

  void take_input(size_t index, const History& history) {
    const Read& read = call_->signature->inputs[index];
    const auto kept = call_->kept.find({Slot::given, index});
    if (kept == call_->kept.end() || kept->second.tensor.defined() || read.step > call_->position) return;
    const auto& arguments = history[call_->first_event + read.step].arguments;
    if (read.argument < arguments.size()) kept->second.tensor = arguments[read.argument].unchanged();
  }

  /// Tells watches of inputs that can be had now, and puts what they go on with in the place of the arguments.
  void read_inputs(const OperatorHandle& op, Stack& stack, const History& history) {
    for (size_t i = 0; i < call_->signature->inputs.size(); ++i) take_input(i, history);
    for (Watch& watch : call_->watches) {
      if (watch.done || watch.span->begin > call_->position || !watch.subscriber->wants_inputs()) continue;
      for (size_t i = 0; i < watch.inputs.size(); ++i) enter(watch, i);
    }
    if (call_->replaced.empty()) return;
    const size_t count = op.schema().arguments().size();
    for (size_t i = stack.size() - count; i < stack.size(); ++i) {
      change_tensors(stack[i], [&](const at::Tensor& tensor) {
        for (const Replaced& replaced : call_->replaced) {
          if (tensor.is_same(replaced.from)) return replaced.to;
        }
        return tensor;
      });
    }
  }

  void enter(Watch& watch, size_t index) {
    if (watch.entered[index]) return;
    at::Tensor input = kept_at(watch.span->inputs[index]);
    if (!input.defined()) return;
    watch.entered[index] = 1;
    watch.inputs[index] = input;
    if (watch.subscriber->removed()) return;
    const Slot& slot = watch.span->inputs[index];
    const size_t read = slot.made() ? watch.span->begin : call_->signature->inputs[slot.index].step;
    const Arrival arrival =
        read < call_->position || watch.span->end <= call_->position ? Arrival::late : Arrival::in_time;
    at::Tensor changed = watch.subscriber->enter(index, input, arrival);
    if (!changed.is_same(input)) call_->replaced.push_back({std::move(input), std::move(changed), watch.span->end});
  }

  /// True where the output is an input of the whole (the place runs nothing) that has not been read yet.
  bool awaits_output(const Watch& watch) const {
    return std::any_of(watch.span->outputs.begin(), watch.span->outputs.end(), [&](const Slot& slot) {
      if (slot.step != Slot::given || kept_at(slot).defined()) return false;
      const size_t read = call_->signature->inputs[slot.index].step;
      return read != Read::never && read >= call_->position;
    });
  }

  /// Ends the watches whose span ends at the present position. `op`: the operation just run, its results on the stack.
  void finish_spans(const OperatorHandle* op, Stack* stack) {
    const std::shared_ptr<const Signature> signature = call_->signature;
    for (size_t i = 0; i < call_->watches.size(); ++i) {
      Watch& watch = call_->watches[i];
      if (watch.done || watch.span->end > call_->position || awaits_output(watch)) continue;
      watch.done = true;
      for (size_t input = 0; input < watch.inputs.size(); ++input) enter(watch, input);
      if (!watch.subscriber->removed()) finish(watch, op, stack);
      for (const Slot& slot : watch.span->outputs) let_go(slot);
      if (!watch.subscriber->wants_inputs()) continue;
      for (const Slot& slot : watch.span->inputs) let_go(slot);
    }
    call_->replaced.erase(std::remove_if(call_->replaced.begin(), call_->replaced.end(),
                                         [&](const Replaced& replaced) { return replaced.end <= call_->position; }),
                          call_->replaced.end());
  }

  void finish(Watch& watch, const OperatorHandle* op, Stack* stack) {
    std::vector<at::Tensor> outputs;
    for (const Slot& slot : watch.span->outputs) outputs.push_back(kept_at(slot));
    if (outputs.empty()) return watch.subscriber->miss("it gives no tensor");
    if (std::none_of(outputs.begin(), outputs.end(), [](const at::Tensor& tensor) { return tensor.defined(); })) {
      return watch.subscriber->miss("its output was gone, or written in place, before it could be recognised");
    }
    const std::vector<at::Tensor> before = outputs;
    watch.subscriber->leave(watch.inputs, outputs);
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (outputs[i].is_same(before[i])) continue;
      replace_output(watch.span->outputs[i], before[i], outputs[i], op, stack);
      call_->kept[key(watch.span->outputs[i])].tensor = outputs[i];
    }
  }

  /// Hands the model another tensor in place of one that it is about to receive, or holds already.
  void replace_output(const Slot& slot, const at::Tensor& old, const at::Tensor& replacement, const OperatorHandle* op,
                      Stack* stack) {
    TORCH_CHECK(slot.made(), owner_->describe(),
                ": its output cannot be replaced from outside, because it runs no operation of its own; ",
                owner_->remedy());
    const bool latest = op != nullptr && slot.step + 1 == static_cast<int64_t>(call_->position);
    if (!latest) return become(old, replacement);
    const auto& declared = op->schema().returns();
    size_t index = 0;
    for (size_t i = 0; i < declared.size(); ++i) {
      c10::IValue& value = (*stack)[stack->size() - declared.size() + i];
      const bool in_place = declared[i].alias_info() != nullptr && declared[i].alias_info()->isWrite();
      change_tensors(value, [&](const at::Tensor& tensor) {
        if (index++ != slot.index) return tensor;
        // An in-place operation returns the caller's own tensor, whatever lies on the stack.
        if (!in_place) return replacement;
        become(old, replacement);
        return tensor;
      });
    }
  }

  std::shared_ptr<Runnable> owner_;
  std::shared_ptr<void> while_watched_;
  std::vector<std::pair<const void*, std::shared_ptr<Subscriber>>> subscribers_;
  StateRefs state_;
  std::shared_ptr<const Signature> signature_;
  size_t reach_ = 0;  // how many operations back from the anchor somebody asks for
  std::unique_ptr<Call> call_;
  std::vector<Pending> pending_;
  std::vector<TensorRef> strays_;
  std::unordered_map<const c10::FunctionSchema*, int> refused_;
  const c10::FunctionSchema* failed_at_ = nullptr;  // the operation where the layer could first not be learned
  int failures_ = 0;
  int others_ = 0;  // calls that turned out to be another layer's
};

}  // namespace sightglass::detail
