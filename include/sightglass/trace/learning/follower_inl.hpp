#pragma once

#include "sightglass/trace/learning/follower.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Follower::Follower(std::shared_ptr<Runnable> owner)
    : owner_(std::move(owner)),
      while_watched_(owner_->while_watched()),
      announces_(owner_->announces_calls()),
      state_(announces_ ? StateRefs() : state_refs(*owner_)),
      signature_(SignatureStore::global().find(*owner_)) {}

SIGHTGLASS_INLINE void Follower::add_subscribers_of(const void* place,
                                                    std::vector<std::shared_ptr<Subscriber>>& into) const {
  for (const auto& [watched, subscriber] : subscribers_) {
    if (watched == place) into.push_back(subscriber);
  }
}

SIGHTGLASS_INLINE void Follower::subscribe(const void* place, std::shared_ptr<Subscriber> subscriber) {
  subscribers_.emplace_back(place, std::move(subscriber));
  note_signature(std::move(signature_));
}

SIGHTGLASS_INLINE void Follower::renew_state() { state_ = announces_ ? StateRefs() : state_refs(*owner_); }

SIGHTGLASS_INLINE size_t Follower::length() const { return call_ ? call_->signature().steps.size() : 0; }

SIGHTGLASS_INLINE size_t Follower::recent() const {
  if (announces_) return 0;
  return signature_ != nullptr ? reach_ : wants_recent() ? Limits::kept_alive : 0;
}

SIGHTGLASS_INLINE bool Follower::wants_kept(const c10::FunctionSchema* schema) const {
  return recent() > 0 && may_begin_with(schema);
}

SIGHTGLASS_INLINE bool Follower::wants_history() const {
  if (announces_) return false;
  return signature_ == nullptr || signature_->anchor > 0 || !pending_.empty() ||
         std::any_of(subscribers_.begin(), subscribers_.end(), [](const auto& s) { return s.second->wants_inputs(); });
}

SIGHTGLASS_INLINE bool Follower::may_begin_with(const c10::FunctionSchema* schema) const {
  if (announces_ || signature_ == nullptr) return wants_recent();
  const auto anchor = signature_->steps.begin() + static_cast<std::ptrdiff_t>(signature_->anchor);
  return std::find(signature_->steps.begin(), anchor, schema) != anchor;
}

SIGHTGLASS_INLINE bool Follower::purge() {
  subscribers_.erase(
      std::remove_if(subscribers_.begin(), subscribers_.end(), [](const auto& s) { return s.second->removed(); }),
      subscribers_.end());
  return !subscribers_.empty();
}

SIGHTGLASS_INLINE void Follower::refuse_stray(const at::Tensor& tensor) const {
  for (const TensorRef& stray : strays_) {
    TORCH_CHECK(
        stray.impl() != tensor.unsafeGetTensorImpl(), owner_->describe(),
        " keeps tensors from one call to the next, so that it cannot be run on trial without changing what the model "
        "computes; where they depend on the input's size only, it can be hooked after one plain run at this size; "
        "else ",
        owner_->remedy());
  }
}

SIGHTGLASS_INLINE void Follower::before(const OperatorHandle& op, Stack& stack, const History& history, bool touched) {
  const c10::FunctionSchema* const schema = &op.schema();
  if (announces_) return before_announced(op, stack, history);
  if (call_ && !is_next(schema, history)) resume(history, touched);
  if (!call_ && touched) begin(schema, history);
  if (!call_ && !pending_.empty()) try_to_learn(history);
  if (call_) call_->read_inputs(op, stack, history);
}

SIGHTGLASS_INLINE void Follower::after(const OperatorHandle& op, Stack& stack) {
  if (!call_) return;
  call_->after(op, stack);
  if (!announces_ && call_->at_end()) call_.reset();
}

SIGHTGLASS_INLINE void Follower::abort() {
  call_.reset();
  pending_.clear();
}

SIGHTGLASS_INLINE void Follower::before_announced(const OperatorHandle& op, Stack& stack, const History& history) {
  const std::optional<uint64_t> number = owner_->announced_call();
  if (number != announced_) {
    if (call_ && !call_->at_end()) call_->end_early();
    call_.reset();
    announced_ = number;
    if (number) begin_announced(&op.schema(), history);
  } else if (call_ && !call_->expects(&op.schema())) {
    change_announced(&op.schema(), history);
  }
  if (call_) call_->read_inputs(op, stack, history);
}

SIGHTGLASS_INLINE void Follower::begin_announced(const c10::FunctionSchema* schema, const History& history) {
  announced_inputs_ = owner_->announced_inputs();
  signature_ = SignatureStore::global().find(*owner_);
  if (signature_ == nullptr && !learn_announced_call()) return;
  start(history, history.latest());
  if (call_ && !call_->expects(schema)) change_announced(schema, history);
}

SIGHTGLASS_INLINE bool Follower::learn_announced_call() {
  Trial trial = learn_announced(*owner_, announced_inputs_);
  strays_.insert(strays_.end(), trial.strays.begin(), trial.strays.end());
  if (trial.signature) {
    adopt(std::move(*trial.signature));
    return true;
  }
  for (const auto& [place, subscriber] : subscribers_) subscriber->miss("its trial run failed: " + trial.failure);
  return false;
}

SIGHTGLASS_INLINE void Follower::change_announced(const c10::FunctionSchema* schema, const History& history) {
  const std::unique_ptr<FollowedCall> before = std::move(call_);
  signature_ = nullptr;
  if (!learn_announced_call()) return;
  const auto& was = before->signature().steps;
  const auto& is = signature_->steps;
  const size_t position = before->position();
  const bool same = position < is.size() && is[position] == schema &&
                    std::equal(was.begin(), was.begin() + static_cast<std::ptrdiff_t>(position), is.begin());
  if (same) return start(history, before->first_event(), before->told());
  signature_ = nullptr;
  before->miss_rest("its operations were not those of its trial run");
}

SIGHTGLASS_INLINE void Follower::note_signature(std::shared_ptr<const Signature> signature) {
  signature_ = std::move(signature);
  reach_ = 0;
  if (signature_ == nullptr) return;
  size_t earliest = signature_->anchor;
  const auto needs = [&](const Source& source) {
    if (source.made()) earliest = std::min(earliest, source.step);
    if (source.kind != Source::Kind::input) return;
    if (const auto& read = signature_->inputs[source.index]) earliest = std::min(earliest, read->step);
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

SIGHTGLASS_INLINE bool Follower::is_next(const c10::FunctionSchema* schema, const History& history) {
  if (!call_->expects(schema)) return false;
  const std::vector<const void*>& given = history[history.latest()].given;
  if (call_->reads_its_own(given, state_)) return true;
  renew_state();  // they may have been replaced
  return call_->reads_its_own(given, state_);
}

SIGHTGLASS_INLINE void Follower::begin(const c10::FunctionSchema* schema, const History& history) {
  if (owner_->lifetime().expired()) return;
  if (signature_ == nullptr || signature_->mode != owner_->mode())
    note_signature(SignatureStore::global().find(*owner_));
  if (signature_ != nullptr && agrees(*signature_, history, history.latest(), {}, state_))
    return start(history, history.latest());
  if (const auto refused = refused_.find(schema);
      refused != refused_.end() && refused->second >= Limits::failures_at_operation)
    return;
  renew_state();
  pending_.push_back({history.latest(), {}});
}

SIGHTGLASS_INLINE void Follower::try_to_learn(const History& history) {
  for (size_t i = 0; i < pending_.size();) {
    const uint64_t anchor = pending_[i].anchor;
    Trial trial = try_anchor(history, anchor, pending_[i].tried);
    if (!trial.failure.empty()) pending_[i].failure = trial.failure;
    if (trial.signature) {
      pending_.clear();
      adopt(std::move(*trial.signature));
      return start(history, anchor);
    }
    if (history.latest() - anchor < Limits::until_input) {
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
      is_first ? subscriber->miss(failure) : subscriber->read_elsewhere(failure);
    }
  }
}

SIGHTGLASS_INLINE Trial Follower::try_anchor(const History& history, uint64_t anchor, TriedInputs& tried) {
  Trial trial = learn(*owner_, history, anchor, tried);
  strays_.insert(strays_.end(), trial.strays.begin(), trial.strays.end());
  return trial;
}

SIGHTGLASS_INLINE void Follower::adopt(Signature signature) {
  note_signature(std::make_shared<const Signature>(std::move(signature)));
  SignatureStore::global().put(*owner_, signature_);
}

SIGHTGLASS_INLINE void Follower::resume(const History& history, bool touched) {
  const std::unique_ptr<FollowedCall> before = std::move(call_);
  const uint64_t anchor = before->first_event() + before->signature().anchor;
  const bool of_another = before->is_of_another(history[history.latest()], state_);
  if (touched && agrees(*signature_, history, history.latest(), {}, state_)) return start(history, history.latest());
  TriedInputs tried;
  const bool may_learn = history.holds(anchor) && (!of_another || others_ < Limits::calls_of_another);
  Trial trial = may_learn ? try_anchor(history, anchor, tried) : Trial{};
  if (trial.signature) {
    adopt(std::move(*trial.signature));
    return start(history, anchor, before->told());
  }
  if (of_another) {
    ++others_;
    return before->tell_of_another();
  }
  note_signature(nullptr);
  before->miss_rest(
      "its parameters were read, but what followed are not the operations of its forward; it has not run, or not as "
      "on "
      "trial: " +
      trial.failure);
}

SIGHTGLASS_INLINE void Follower::start(const History& history, uint64_t anchor_event, FollowedCall::Told told) {
  const uint64_t first_event = anchor_event - signature_->anchor;
  call_ = std::make_unique<FollowedCall>(*owner_, signature_, first_event, history, announced_inputs_);
  for (const Span& span : signature_->spans) {
    for (const auto& [place, subscriber] : subscribers_) {
      if (place != span.place || subscriber->removed()) continue;
      if (size_t& before = told[subscriber.get()]; before > 0) {
        --before;
        continue;
      }
      call_->subscribe(span, subscriber, history);
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
  call_->catch_up(history);
}

}  // namespace sightglass::detail
