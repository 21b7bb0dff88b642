#pragma once

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/history.hpp"
#include "sightglass/trace/learning/signature.hpp"
#include "sightglass/trace/limits.hpp"

/// How a signature is learned while a model runs: the layer is called on a sample of what it seems to be given, and the
/// operations of that trial must be those that have been seen.
namespace sightglass::detail {

/// Puts the state of the random number generators back.
class GeneratorStates {
 public:
  explicit GeneratorStates(const std::vector<at::Tensor>& inputs);
  GeneratorStates(const GeneratorStates&) = delete;
  GeneratorStates& operator=(const GeneratorStates&) = delete;
  ~GeneratorStates();

 private:
  std::vector<std::pair<at::Generator, at::Tensor>> saved_;
};

struct Trial {
  std::optional<Signature> signature;
  std::string failure;            ///< why there is none
  std::vector<TensorRef> strays;  ///< tensors of trial runs that the layer has stored
  bool is_undone = true;          ///< nothing is left of it but strays
};

/// Runs `owner` once on `inputs`, and leaves everything as it was, but for what it has put into members that are
/// tensors or containers. Without gradients, except where the call that is under way has them and may go another way
/// without.
Trial run_once(Runnable& owner, const std::vector<at::Tensor>& inputs, Guide guide = nullptr);

/// The same, and throws where the run has changed numbers that the layer keeps beside other things. A cache that knows
/// its size changes no more when it is asked for the same again; a counter or a generator does.
Trial run_trial(Runnable& owner, const std::vector<at::Tensor>& inputs, const Guide& guide = nullptr);

/// Runs `owner` on trial on the very tensors of the call that it has announced.
Trial learn_announced(Runnable& owner, const std::vector<at::Tensor>& inputs);

/// How much of a tensor a trial is given. Small is cheap; whole is right where the layer knows its size.
enum class SampleSize { cut, single, whole };

/// The first image of the batch, at most `Limits::sample` places a spatial dimension (`cut`); all of it (`single`); the
/// batch
/// (`whole`).
at::Tensor sample_of(const at::Tensor& tensor, SampleSize size);

/// Gives a trial up as soon as its operations can no longer be those seen around `anchor_event`: with the wrong inputs,
/// a user's `forward` may go wrong in ways that no exception reports.
Guide guide_along(const History& history, uint64_t anchor_event, std::vector<const void*> inputs);

/// The parameters and buffers of an owner by identity, in the order of `Runnable::state()`.
///
/// Weak references: while one is held, no other tensor gets the address of one that is gone.
using StateRefs = std::vector<TensorRef>;

StateRefs state_refs(const Runnable& owner);

/// True where an operation whose tensor arguments are `given` reads at `read` what it read in the trial.
bool reads_the_same(const StateRead& read, const std::vector<const void*>& given, const StateRefs& state);

/// True where the events from the layer's first operation to the latest are those of `signature` and read the same
/// parameters and buffers (`state`), and the inputs that have been read are `inputs`.
bool agrees(const Signature& signature, const History& history, uint64_t anchor_event,
            const std::vector<at::Tensor>& inputs, const StateRefs& state);

/// Back along views and reshapings to the tensor that was computed.
at::Tensor before_reshaping(at::Tensor tensor, const History& history, uint64_t event);

/// Brings those to the front that fit beside the first: of its type and batch size; weights of other layers come last.
void fitting_first(std::vector<at::Tensor>& tensors);

/// What the layer may have been given, most likely first: the tensors that the operations since the anchor read, then
/// those around it, back in time; of these, those that fit.
std::vector<at::Tensor> candidates(const Runnable& owner, const History& history, uint64_t anchor_event);

/// Calls `visit` with every ordered choice of `count` out of the most likely candidates until it returns true.
template <class Visit>
bool any_choice(const std::vector<at::Tensor>& from, size_t count, Visit&& visit) {
  const size_t likely = count <= 2   ? from.size()
                        : count == 3 ? Limits::candidates_for_three
                                     : Limits::candidates_for_four;
  const size_t most = std::min(from.size(), likely);
  if (most == 0) return false;
  std::vector<size_t> choice(count, 0);
  while (true) {
    std::vector<at::Tensor> chosen;
    for (const size_t index : choice) chosen.push_back(from[index]);
    if (visit(chosen)) return true;
    size_t digit = count;
    while (digit > 0 && ++choice[digit - 1] == most) choice[--digit] = 0;
    if (digit == 0) return false;
  }
}

/// Choices of inputs that were tried for one anchor: what did not do then, will not do when more has been seen.
using TriedInputs = std::set<std::vector<const void*>>;

/// Finds the signature that explains what has been seen since `anchor_event`, the operation that read a parameter of
/// `owner` first.
Trial learn(Runnable& owner, const History& history, uint64_t anchor_event, TriedInputs& tried_inputs);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/learn_inl.hpp"
#endif
