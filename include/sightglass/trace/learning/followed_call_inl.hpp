#pragma once

#include "sightglass/trace/learning/followed_call.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE FollowedCall::FollowedCall(const Runnable& owner, std::shared_ptr<const Signature> signature,
                                             uint64_t first_event, const History& history,
                                             std::vector<at::Tensor> given)
    : owner_(owner),
      shared_(std::move(signature)),
      signature_(shared_.get()),
      first_event_(first_event),
      position_(static_cast<size_t>(history.latest() - first_event)),
      given_(std::move(given)) {}

SIGHTGLASS_INLINE bool FollowedCall::reads_its_own(const std::vector<const void*>& given, const StateRefs& state) {
  const std::vector<StateRead>& reads = signature_->state_reads;
  while (next_read_ < reads.size() && reads[next_read_].step < position_) ++next_read_;
  for (size_t i = next_read_; i < reads.size() && reads[i].step == position_; ++i) {
    if (!reads_the_same(reads[i], given, state)) return false;
  }
  return true;
}

SIGHTGLASS_INLINE bool FollowedCall::is_of_another(const Event& latest, const StateRefs& state) const {
  if (!expects(latest.schema)) return false;
  const auto is_own = [&](const void* impl) {
    return std::any_of(state.begin(), state.end(), [&](const TensorRef& own) { return own.impl() == impl; });
  };
  const std::vector<StateRead>& reads = signature_->state_reads;
  return std::any_of(reads.begin(), reads.end(), [&](const StateRead& read) {
    return read.step == position_ && (read.argument >= latest.given.size() || !is_own(latest.given[read.argument]));
  });
}

SIGHTGLASS_INLINE void FollowedCall::watch(const Span& span, const std::shared_ptr<Subscriber>& subscriber,
                                           const History& history) {
  watches_.push_back(
      {&span, subscriber, std::vector<at::Tensor>(span.inputs.size()), std::vector<char>(span.inputs.size(), 0)});
  for (const Slot& slot : span.outputs) keep(slot, history);
  if (!subscriber->wants_inputs()) return;
  for (const Slot& slot : span.inputs) keep(slot, history);
}

SIGHTGLASS_INLINE void FollowedCall::catch_up(const History& history) {
  for (size_t i = 0; i < signature_->inputs.size(); ++i) take_input(i, history);
  finish_spans(nullptr, nullptr);
}

SIGHTGLASS_INLINE void FollowedCall::read_inputs(const OperatorHandle& op, Stack& stack, const History& history) {
  for (size_t i = 0; i < signature_->inputs.size(); ++i) take_input(i, history);
  for (Watch& watch : watches_) {
    if (watch.done || watch.span->begin > position_ || !watch.subscriber->wants_inputs()) continue;
    for (size_t i = 0; i < watch.inputs.size(); ++i) enter(watch, i);
  }
  if (replaced_.empty()) return;
  const size_t count = op.schema().arguments().size();
  for (size_t i = stack.size() - count; i < stack.size(); ++i) {
    change_tensors(stack[i], [&](const at::Tensor& tensor) {
      for (const Replaced& replaced : replaced_) {
        if (tensor.is_same(replaced.from)) return replaced.to;
      }
      return tensor;
    });
  }
}

SIGHTGLASS_INLINE void FollowedCall::after(const OperatorHandle& op, Stack& stack) {
  const size_t step = position_++;
  const std::vector<at::Tensor> made = wanted_from(step) ? flat_tensors(results(op, stack)) : std::vector<at::Tensor>();
  for (size_t index = 0; index < made.size(); ++index) {
    const auto kept = kept_.find({Slot::Kind::result, index, step});
    if (kept != kept_.end()) kept->second.tensor = made[index];
  }
  finish_spans(&op, &stack);
}

SIGHTGLASS_INLINE FollowedCall::Told FollowedCall::told() const {
  Told told;
  for (const Watch& watch : watches_) told[watch.subscriber.get()] += watch.done ? 1 : 0;
  return told;
}

SIGHTGLASS_INLINE void FollowedCall::end_early() const {
  const Told told = this->told();
  for (const Watch& watch : watches_) {
    if (watch.done) continue;
    if (watch.span->begin < position_) {
      watch.subscriber->miss("the call that it was part of ended before it did");
    } else if (told.at(watch.subscriber.get()) == 0) {
      watch.subscriber->miss("it did not run where " + owner_.describe() + " ran");
    }
  }
}

SIGHTGLASS_INLINE void FollowedCall::miss_rest(const std::string& why) const {
  for (const Watch& watch : watches_) {
    if (!watch.done) watch.subscriber->miss(why);
  }
}

SIGHTGLASS_INLINE void FollowedCall::tell_of_another() const {
  const std::string why = "only parts of " + owner_.describe() +
                          " ran, outside of its forward: where its forward reads parameters of its own, the model "
                          "went on with those of another layer";
  for (const Watch& watch : watches_) watch.done ? watch.subscriber->miss(why) : watch.subscriber->read_elsewhere(why);
}

SIGHTGLASS_INLINE bool FollowedCall::wanted_from(size_t step) const {
  const auto first = kept_.lower_bound({Slot::Kind::result, 0, step});
  return first != kept_.end() && first->first.step == step;
}

SIGHTGLASS_INLINE void FollowedCall::keep(const Slot& slot, const History& history) {
  if (slot.kind == Slot::Kind::unknown) return;
  Kept& kept = kept_[slot];
  ++kept.uses;
  if (!slot.made() || slot.step >= position_) return;
  kept.tensor = history.made(first_event_ + slot.step, slot.index);
}

SIGHTGLASS_INLINE void FollowedCall::let_go(const Slot& slot) {
  const auto kept = kept_.find(slot);
  if (kept != kept_.end() && --kept->second.uses <= 0) kept_.erase(kept);
}

SIGHTGLASS_INLINE at::Tensor FollowedCall::kept_at(const Slot& slot) const {
  const auto kept = kept_.find(slot);
  return kept == kept_.end() ? at::Tensor() : kept->second.tensor;
}

SIGHTGLASS_INLINE void FollowedCall::take_input(size_t index, const History& history) {
  const auto kept = kept_.find({Slot::Kind::input, index});
  if (kept == kept_.end() || kept->second.tensor.defined()) return;
  if (index < given_.size()) {
    kept->second.tensor = given_[index];
    return;
  }
  const std::optional<Read>& read = signature_->inputs[index];
  if (!read || read->step > position_) return;
  const auto& arguments = history[first_event_ + read->step].arguments;
  if (read->argument < arguments.size()) kept->second.tensor = arguments[read->argument].unchanged();
}

SIGHTGLASS_INLINE bool FollowedCall::has_read(size_t index) const {
  const std::optional<Read>& read = signature_->inputs[index];
  return read && read->step < position_;
}

SIGHTGLASS_INLINE void FollowedCall::enter(Watch& watch, size_t index) {
  if (watch.entered[index]) return;
  at::Tensor input = kept_at(watch.span->inputs[index]);
  if (!input.defined()) return;
  watch.entered[index] = 1;
  watch.inputs[index] = input;
  if (watch.subscriber->removed()) return;
  const Slot& slot = watch.span->inputs[index];
  const bool is_read = slot.made() ? watch.span->begin < position_ : has_read(slot.index);
  const Arrival arrival = is_read || watch.span->end <= position_ ? Arrival::late : Arrival::in_time;
  at::Tensor changed = watch.subscriber->enter(index, input, arrival);
  if (!changed.is_same(input)) replaced_.push_back({std::move(input), std::move(changed), watch.span->end});
}

SIGHTGLASS_INLINE bool FollowedCall::awaits_output(const Watch& watch) const {
  return std::any_of(watch.span->outputs.begin(), watch.span->outputs.end(), [&](const Slot& slot) {
    if (slot.kind != Slot::Kind::input || kept_at(slot).defined()) return false;
    return signature_->inputs[slot.index] && !has_read(slot.index);
  });
}

SIGHTGLASS_INLINE void FollowedCall::finish_spans(const OperatorHandle* op, Stack* stack) {
  for (size_t i = 0; i < watches_.size(); ++i) {
    Watch& watch = watches_[i];
    if (watch.done || watch.span->end > position_ || awaits_output(watch)) continue;
    watch.done = true;
    for (size_t input = 0; input < watch.inputs.size(); ++input) enter(watch, input);
    if (!watch.subscriber->removed()) finish(watch, op, stack);
    for (const Slot& slot : watch.span->outputs) let_go(slot);
    if (!watch.subscriber->wants_inputs()) continue;
    for (const Slot& slot : watch.span->inputs) let_go(slot);
  }
  replaced_.erase(std::remove_if(replaced_.begin(), replaced_.end(),
                                 [&](const Replaced& replaced) { return replaced.end <= position_; }),
                  replaced_.end());
}

SIGHTGLASS_INLINE void FollowedCall::finish(Watch& watch, const OperatorHandle* op, Stack* stack) {
  std::vector<at::Tensor> outputs;
  for (const Slot& slot : watch.span->outputs) outputs.push_back(kept_at(slot));
  const bool gone =
      std::none_of(outputs.begin(), outputs.end(), [](const at::Tensor& tensor) { return tensor.defined(); });
  if (gone && !outputs.empty()) {
    return watch.subscriber->miss("its output was gone, or written in place, before it could be recognised");
  }
  const std::vector<at::Tensor> before = outputs;
  if (!watch.span->keys.empty()) watch.subscriber->keys(watch.span->keys);
  watch.subscriber->leave(watch.inputs, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].is_same(before[i])) continue;
    replace_output(watch.span->outputs[i], before[i], outputs[i], op, stack);
    kept_[watch.span->outputs[i]].tensor = outputs[i];
  }
}

SIGHTGLASS_INLINE void FollowedCall::replace_output(const Slot& slot, const at::Tensor& old,
                                                    const at::Tensor& replacement, const OperatorHandle* op,
                                                    Stack* stack) {
  TORCH_CHECK(slot.made(), owner_.describe(),
              ": its output cannot be replaced from outside, because it runs no operation of its own; ",
              owner_.remedy());
  const bool latest = op != nullptr && slot.step + 1 == position_;
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

}  // namespace sightglass::detail
