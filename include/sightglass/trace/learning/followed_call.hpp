#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/gradient.hpp"
#include "sightglass/trace/learning/learn.hpp"
#include "sightglass/trace/subscriber.hpp"

/// One call under way, followed operation by operation along its signature: tells when places begin and end.
namespace sightglass::detail {

class FollowedCall {
 public:
  /// Of how many calls of their places subscribers have been told.
  using Told = std::map<const Subscriber*, size_t>;

  /// The call's first operation was event `first_event`; the latest event is about to be run. `given`: the inputs,
  /// where the call has said them.
  FollowedCall(const Runnable& owner, std::shared_ptr<const Signature> signature, uint64_t first_event,
               const History& history, std::vector<at::Tensor> given);

  const Signature& signature() const { return *signature_; }
  uint64_t first_event() const { return first_event_; }
  /// How many of its operations have run.
  size_t position() const { return position_; }
  bool at_end() const { return position_ >= signature_->steps.size(); }
  bool expects(const c10::FunctionSchema* schema) const { return !at_end() && signature_->steps[position_] == schema; }

  /// Whether the present operation reads the owner's parameters and buffers as in the trial.
  bool reads_its_own(const std::vector<const void*>& given, const StateRefs& state);

  /// Whether `latest` is the call's next operation by name, but on a parameter of somebody else.
  bool is_of_another(const Event& latest, const StateRefs& state) const;

  /// Has `subscriber` told of the place's call `span`.
  void subscribe(const Span& span, const std::shared_ptr<Subscriber>& subscriber, const History& history);

  /// Tells of what began and ended before the call was recognised.
  void catch_up(const History& history);

  /// Tells subscribers of inputs that can be had now, and puts what they return in the place of the arguments.
  void read_inputs(const OperatorHandle& op, Stack& stack, const History& history);

  /// After an operation, with its results on the stack.
  void after(const OperatorHandle& op, Stack& stack);

  Told told() const;
  /// The call has ended before its last operation: what has not begun by then did not run.
  void end_early() const;
  /// The rest of the call cannot be followed.
  void miss_rest(const std::string& why) const;
  /// A layer elsewhere performs the same operations, after a part of this one: the signature is still right, but what
  /// was told of the call is not.
  void tell_of_another() const;

 private:
  /// One subscriber at one call of its place.
  struct Subscription {
    const Span* span;
    std::shared_ptr<Subscriber> subscriber;
    std::vector<at::Tensor> inputs;
    std::vector<char> entered;
    bool done = false;
  };
  /// A tensor that some subscriptions will ask for; let go with the last of them.
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

  bool wanted_from(size_t step) const;

  /// Reserves a place for a tensor that a subscription will ask for; takes it from the history when it was made
  /// already.
  void keep(const Source& source, const History& history);

  void let_go(const Source& source);

  at::Tensor kept_at(const Source& source) const;

  void take_input(size_t index, const History& history);

  /// Whether the call has read its input `index` before the present operation.
  bool has_read(size_t index) const;

  void enter(Subscription& subscription, size_t index);

  /// True where the output is an input of the whole (the place runs nothing) that has not been read yet.
  bool awaits_output(const Subscription& subscription) const;

  /// Ends the subscriptions whose span ends at the present position. `op`: the operation just run, its results on the
  /// stack.
  void finish_spans(const OperatorHandle* op, Stack* stack);

  void finish(Subscription& subscription, const OperatorHandle* op, Stack* stack);

  /// Hands the model another tensor in place of one that it is about to receive, or holds already.
  void replace_output(const Source& source, const at::Tensor& old, const at::Tensor& replacement,
                      const OperatorHandle* op, Stack* stack);

  const Runnable& owner_;
  std::shared_ptr<const Signature> shared_;
  const Signature* signature_;
  uint64_t first_event_;
  size_t position_;
  size_t next_read_ = 0;  ///< of the signature's `state_reads`: that of the present position or later
  std::vector<at::Tensor> given_;
  std::vector<Subscription> subscriptions_;
  std::map<Source, Kept> kept_;
  std::vector<Replaced> replaced_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/followed_call_inl.hpp"
#endif
