#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/trace/learning/followed_call.hpp"
#include "sightglass/trace/learning/learn.hpp"
#include "sightglass/trace/learning/signature_store.hpp"
#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/subscriber.hpp"

/// Recognises the calls of a layer or a model in the stream of operations, and learns how they go.
namespace sightglass::detail {

/// One runnable, watched on one thread for any number of places inside of it.
class Follower {
 public:
  explicit Follower(std::shared_ptr<Runnable> owner);

  Runnable& owner() const { return *owner_; }
  /// True where its calls say themselves: nothing that they read has to be noted.
  bool announces_calls() const { return announces_; }
  /// Who watches `place`.
  void add_subscribers_of(const void* place, std::vector<std::shared_ptr<Subscriber>>& into) const;
  void subscribe(const void* place, std::shared_ptr<Subscriber> subscriber);
  /// The parameters and buffers that tell of the owner; `renew_state` where they may have been replaced.
  const StateRefs& state() const { return state_; }
  void renew_state();
  /// Operations of the call under way; 0 when there is none. Inner layers are shorter than those around them.
  size_t length() const;
  /// True while its last run leaves something to learn: then the recent tensors are kept alive.
  bool wants_recent() const { return !announces_ && signature_ == nullptr && failures_ < Limits::failures; }
  /// How many of the latest operations somebody may ask for once the layer is recognised: what it does before its
  /// anchor would be gone by then.
  size_t recent() const;
  /// Whether the tensors of this operation are kept alive for that.
  bool wants_kept(const c10::FunctionSchema* schema) const;

  /// True while more has to be known of past operations than that they were: what they were given and made. Where a
  /// learned layer begins at its anchor and nobody asks for inputs, it has not.
  bool wants_history() const;
  /// True where an operation may be one before the anchor, so that what it writes may be an input.
  bool may_begin_with(const c10::FunctionSchema* schema) const;

  /// Forgets who was removed; returns whether anybody is left.
  bool purge();

  /// Throws when the model goes on with a tensor of a trial run.
  void refuse_stray(const at::Tensor& tensor) const;

  /// Before an operation, which is the history's latest event. `touched`: it reads a parameter or buffer of the owner.
  void before(const OperatorHandle& op, Stack& stack, const History& history, bool touched);

  /// After it, with its results on the stack.
  void after(const OperatorHandle& op, Stack& stack);

  /// The operation threw: whatever ran has ended.
  void abort();

 private:
  /// An event that may be the anchor of a call under way.
  struct Pending {
    uint64_t anchor;
    TriedInputs tried;
    std::string failure = "none of the tensors seen so far can be its input";
  };
  /// The same where calls say themselves: the first operation of another call begins it, whatever it reads.
  void before_announced(const OperatorHandle& op, Stack& stack, const History& history);

  void begin_announced(const c10::FunctionSchema* schema, const History& history);

  bool learn_announced_call();

  /// The run has left the signature: its control flow depends on the data. A trial on the same data tells how it goes
  /// on.
  void change_announced(const c10::FunctionSchema* schema, const History& history);

  /// Takes another signature, and what it means for the operations before its anchor.
  void note_signature(std::shared_ptr<const Signature> signature);

  /// Whether the operation that is about to run is the call's next, on the same parameters and buffers.
  bool is_next(const c10::FunctionSchema* schema, const History& history);

  /// An operation reads a parameter of an owner that is not being followed: its anchor, or something else (an
  /// optimiser).
  void begin(const c10::FunctionSchema* schema, const History& history);

  /// Each operation that read a parameter may be the anchor of a call under way; what it was given may come later.
  void try_to_learn(const History& history);

  Trial try_anchor(const History& history, uint64_t anchor, TriedInputs& tried);

  void adopt(Signature signature);

  /// The run left the signature (control flow that depends on the data, or a forward that was broken off).
  void resume(const History& history, bool touched);

  /// A call whose anchor was `anchor_event` is under way; the latest event is about to be run. `told`: before the
  /// call left the signature that it was thought to have.
  void start(const History& history, uint64_t anchor_event, FollowedCall::Told told = {});

  std::shared_ptr<Runnable> owner_;
  std::shared_ptr<void> while_watched_;
  bool announces_;
  std::optional<uint64_t> announced_;  ///< the number of the announced call that is followed
  std::vector<at::Tensor> announced_inputs_;
  std::vector<std::pair<const void*, std::shared_ptr<Subscriber>>> subscribers_;
  StateRefs state_;
  std::shared_ptr<const Signature> signature_;
  size_t reach_ = 0;  // how many operations back from the anchor somebody asks for
  std::unique_ptr<FollowedCall> call_;
  std::vector<Pending> pending_;
  std::vector<TensorRef> strays_;
  std::unordered_map<const c10::FunctionSchema*, int> refused_;
  const c10::FunctionSchema* failed_at_ = nullptr;  // the operation where the layer could first not be learned
  int failures_ = 0;
  int others_ = 0;  // calls that turned out to be another layer's
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/follower_inl.hpp"
#endif
