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

SIGHTGLASS_INLINE void FollowedCall::subscribe(const Span& span, const std::shared_ptr<Subscriber>& subscriber,
                                               const History& history) {
  subscriptions_.push_back(
      {&span, subscriber, std::vector<at::Tensor>(span.inputs.size()), std::vector<char>(span.inputs.size(), 0)});
  for (const Source& source : span.outputs) keep(source, history);
  if (!subscriber->wants_inputs()) return;
  for (const Source& source : span.inputs) keep(source, history);
}

SIGHTGLASS_INLINE void FollowedCall::catch_up(const History& history) {
  for (size_t i = 0; i < signature_->inputs.size(); ++i) take_input(i, history);
  finish_spans(nullptr, nullptr);
}

SIGHTGLASS_INLINE void FollowedCall::read_inputs(const OperatorHandle& op, Stack& stack, const History& history) {
  for (size_t i = 0; i < signature_->inputs.size(); ++i) take_input(i, history);
  for (Subscription& subscription : subscriptions_) {
    if (subscription.done || subscription.span->begin > position_ || !subscription.subscriber->wants_inputs()) continue;
    for (size_t i = 0; i < subscription.inputs.size(); ++i) enter(subscription, i);
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
    const auto kept = kept_.find({Source::Kind::result, index, step});
    if (kept != kept_.end()) kept->second.tensor = made[index];
  }
  finish_spans(&op, &stack);
}

SIGHTGLASS_INLINE FollowedCall::Told FollowedCall::told() const {
  Told told;
  for (const Subscription& subscription : subscriptions_)
    told[subscription.subscriber.get()] += subscription.done ? 1 : 0;
  return told;
}

SIGHTGLASS_INLINE void FollowedCall::end_early() const {
  const Told told = this->told();
  for (const Subscription& subscription : subscriptions_) {
    if (subscription.done) continue;
    if (subscription.span->begin < position_) {
      subscription.subscriber->miss("the call that it was part of ended before it did");
    } else if (told.at(subscription.subscriber.get()) == 0) {
      subscription.subscriber->miss("it did not run where " + owner_.describe() + " ran");
    }
  }
}

SIGHTGLASS_INLINE void FollowedCall::miss_rest(const std::string& why) const {
  for (const Subscription& subscription : subscriptions_) {
    if (!subscription.done) subscription.subscriber->miss(why);
  }
}

SIGHTGLASS_INLINE void FollowedCall::tell_of_another() const {
  const std::string why = "only parts of " + owner_.describe() +
                          " ran, outside of its forward: where its forward reads parameters of its own, the model "
                          "went on with those of another layer";
  for (const Subscription& subscription : subscriptions_)
    subscription.done ? subscription.subscriber->miss(why) : subscription.subscriber->read_elsewhere(why);
}

SIGHTGLASS_INLINE bool FollowedCall::wanted_from(size_t step) const {
  const auto first = kept_.lower_bound({Source::Kind::result, 0, step});
  return first != kept_.end() && first->first.step == step;
}

SIGHTGLASS_INLINE void FollowedCall::keep(const Source& source, const History& history) {
  if (source.kind == Source::Kind::unknown) return;
  Kept& kept = kept_[source];
  ++kept.uses;
  if (!source.made() || source.step >= position_) return;
  kept.tensor = history.made(first_event_ + source.step, source.index);
}

SIGHTGLASS_INLINE void FollowedCall::let_go(const Source& source) {
  const auto kept = kept_.find(source);
  if (kept != kept_.end() && --kept->second.uses <= 0) kept_.erase(kept);
}

SIGHTGLASS_INLINE at::Tensor FollowedCall::kept_at(const Source& source) const {
  const auto kept = kept_.find(source);
  return kept == kept_.end() ? at::Tensor() : kept->second.tensor;
}

SIGHTGLASS_INLINE void FollowedCall::take_input(size_t index, const History& history) {
  const auto kept = kept_.find({Source::Kind::input, index});
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

SIGHTGLASS_INLINE void FollowedCall::enter(Subscription& subscription, size_t index) {
  if (subscription.entered[index]) return;
  at::Tensor input = kept_at(subscription.span->inputs[index]);
  if (!input.defined()) return;
  subscription.entered[index] = 1;
  subscription.inputs[index] = input;
  if (subscription.subscriber->removed()) return;
  const Source& source = subscription.span->inputs[index];
  const bool is_read = source.made() ? subscription.span->begin < position_ : has_read(source.index);
  const Arrival arrival = is_read || subscription.span->end <= position_ ? Arrival::late : Arrival::in_time;
  at::Tensor changed = subscription.subscriber->enter(index, input, arrival);
  if (!changed.is_same(input)) replaced_.push_back({std::move(input), std::move(changed), subscription.span->end});
}

SIGHTGLASS_INLINE bool FollowedCall::awaits_output(const Subscription& subscription) const {
  return std::any_of(subscription.span->outputs.begin(), subscription.span->outputs.end(), [&](const Source& source) {
    if (source.kind != Source::Kind::input || kept_at(source).defined()) return false;
    return signature_->inputs[source.index] && !has_read(source.index);
  });
}

SIGHTGLASS_INLINE void FollowedCall::finish_spans(const OperatorHandle* op, Stack* stack) {
  for (size_t i = 0; i < subscriptions_.size(); ++i) {
    Subscription& subscription = subscriptions_[i];
    if (subscription.done || subscription.span->end > position_ || awaits_output(subscription)) continue;
    subscription.done = true;
    for (size_t input = 0; input < subscription.inputs.size(); ++input) enter(subscription, input);
    if (!subscription.subscriber->removed()) finish(subscription, op, stack);
    for (const Source& source : subscription.span->outputs) let_go(source);
    if (!subscription.subscriber->wants_inputs()) continue;
    for (const Source& source : subscription.span->inputs) let_go(source);
  }
  replaced_.erase(std::remove_if(replaced_.begin(), replaced_.end(),
                                 [&](const Replaced& replaced) { return replaced.end <= position_; }),
                  replaced_.end());
}

SIGHTGLASS_INLINE void FollowedCall::finish(Subscription& subscription, const OperatorHandle* op, Stack* stack) {
  std::vector<at::Tensor> outputs;
  for (const Source& source : subscription.span->outputs) outputs.push_back(kept_at(source));
  const bool gone =
      std::none_of(outputs.begin(), outputs.end(), [](const at::Tensor& tensor) { return tensor.defined(); });
  if (gone && !outputs.empty()) {
    return subscription.subscriber->miss("its output was gone, or written in place, before it could be recognised");
  }
  const std::vector<at::Tensor> before = outputs;
  if (!subscription.span->keys.empty()) subscription.subscriber->keys(subscription.span->keys);
  subscription.subscriber->leave(subscription.inputs, outputs);
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].is_same(before[i])) continue;
    replace_output(subscription.span->outputs[i], before[i], outputs[i], op, stack);
    kept_[subscription.span->outputs[i]].tensor = outputs[i];
  }
}

SIGHTGLASS_INLINE void FollowedCall::replace_output(const Source& source, const at::Tensor& old,
                                                    const at::Tensor& replacement, const OperatorHandle* op,
                                                    Stack* stack) {
  TORCH_CHECK(source.made(), owner_.describe(),
              ": its output cannot be replaced from outside, because it runs no operation of its own; ",
              owner_.remedy());
  const bool latest = op != nullptr && source.step + 1 == position_;
  if (!latest) return become(old, replacement);
  const auto& declared = op->schema().returns();
  size_t index = 0;
  for (size_t i = 0; i < declared.size(); ++i) {
    c10::IValue& value = (*stack)[stack->size() - declared.size() + i];
    const bool in_place = declared[i].alias_info() != nullptr && declared[i].alias_info()->isWrite();
    change_tensors(value, [&](const at::Tensor& tensor) {
      if (index++ != source.index) return tensor;
      // An in-place operation returns the caller's own tensor, whatever lies on the stack.
      if (!in_place) return replacement;
      become(old, replacement);
      return tensor;
    });
  }
}

}  // namespace sightglass::detail
