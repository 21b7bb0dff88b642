#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/interceptor.hpp"

namespace sightglass::detail {

struct Signature;
class Recording;

/// What a trial run may change besides tensors, as it was before.
class Preserved {
 public:
  Preserved() = default;
  Preserved(const Preserved&) = delete;
  Preserved& operator=(const Preserved&) = delete;
  virtual ~Preserved() = default;
  /// False where the run has changed something that could not be put back.
  virtual bool put_back() = 0;
};

/// What is run, and how.
struct RunnableId {
  /// `forward`: as the object does it itself. `children`: child by child, where the class derives from `Sequential`.
  /// `block`: `forward`, in which children without parameters are looked for.
  enum class Kind { forward, children, block };
  const void* address;  ///< of the object
  Kind kind = Kind::forward;

  friend bool operator==(const RunnableId& a, const RunnableId& b) {
    return a.address == b.address && a.kind == b.kind;
  }
  friend bool operator<(const RunnableId& a, const RunnableId& b) {
    return std::tie(a.address, a.kind) < std::tie(b.address, b.kind);
  }
};

/// Something whose operations are learned by running it once: a `torch::nn` layer, or a TorchScript model.
class Runnable {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  virtual ~Runnable() = default;

  /// The same for two runnables of one layer that run it in the same way.
  virtual RunnableId id() const = 0;
  /// Expires with the object, after which its address may be another's.
  virtual std::weak_ptr<const void> lifetime() const = 0;
  /// For messages: `layer "fc" (torch::nn::LinearImpl)`.
  virtual std::string describe() const = 0;

  /// Parameters and buffers: the first operation that reads one of them tells that the layer runs.
  virtual std::vector<at::Tensor> state() const = 0;
  /// Those of `state` that `forward` may write.
  virtual std::vector<at::Tensor> buffers() const = 0;
  /// Changes when the operations may have changed, as with the training flag.
  virtual uint64_t mode() const = 0;
  /// With how many tensors `run` may be called, most likely first.
  virtual std::vector<size_t> input_counts() const { return {1}; }

  /// True where calls say themselves when they begin, so that none has to be recognised by what it reads.
  virtual bool announces_calls() const { return false; }
  /// The announced call under way on this thread: another number for each.
  virtual std::optional<uint64_t> announced_call() const { return std::nullopt; }
  /// What the announced call was given.
  virtual std::vector<at::Tensor> announced_inputs() const { return {}; }
  /// What to do where it cannot be followed from outside; a clause that completes an error.
  SIGHTGLASS_INLINE virtual std::string remedy() const;

  /// Kept while the runnable is watched on this thread.
  virtual std::shared_ptr<void> while_watched() { return nullptr; }

  /// What `run` may change besides tensors; null where there is nothing of the kind.
  virtual std::unique_ptr<Preserved> preserve() const { return nullptr; }
  /// True where members hold tensors besides `state`, which may be of the input's size.
  virtual bool keeps_tensors() const { return false; }

  /// True where the first operations are known to read no parameter: the input is then not what the anchor is given.
  virtual bool begins_without_state() const { return false; }

  /// Whether `complete` is to be called after a trial run, with all of its operations.
  virtual bool wants_recording() const { return false; }
  /// Adds to the signature what can only be told from the recording.
  virtual void complete(Signature& /*signature*/, const Recording& /*recording*/) {}

  /// Runs `forward`; outputs are flattened. Places inside of it announce themselves to the thread's listener.
  virtual std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) = 0;
};

/// The one line of an error that says what was wrong; TorchScript's come with two tracebacks before it.
std::string one_line(const std::string& message);

/// Announces one end of a place to whoever listens on this thread; the values may be replaced.
void announce(const void* place, Side side, std::vector<at::Tensor>& values);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/runnable_inl.hpp"
#endif
