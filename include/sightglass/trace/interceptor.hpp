#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/stack.h>
#include <ATen/record_function.h>
#include <c10/core/DispatchKey.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/macros/Export.h>

#include <string>
#include <thread>
#include <vector>

#include "sightglass/inline.hpp"

/// One thread's interception of LibTorch's dispatcher: on, off, nested.
///
/// `torch::nn` calls its layers directly, so nothing can be wrapped from outside; but every operation passes the
/// dispatcher. `DispatchKey::DeferredInit` is kept for libraries outside of PyTorch, lies above autocast and autograd,
/// and is used by nothing in LibTorch. One boxed fallback is registered for it, and the key is switched on for a thread
/// while that thread has a `Listener`. Where none listens, nothing is paid.
namespace sightglass::detail {

using OperatorHandle = c10::OperatorHandle;
using Stack = torch::jit::Stack;

constexpr c10::DispatchKey intercepted_key = c10::DispatchKey::DeferredInit;

/// The two ends of a place that marks itself.
enum class Side { begin, end };

/// What is told of every top-level operation of its thread, and of the marks that `Hooked`, `HookPoint` and marked
/// TorchScript graphs set. Operations that a listener itself runs, and those inside an operation, are not seen.
class Listener {
 public:
  Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;
  virtual ~Listener() = default;

  /// The arguments lie on `stack`; the listener runs the operation (`op.callBoxed(stack)`) or puts its own results
  /// there.
  virtual void operation(const OperatorHandle& op, Stack& stack) = 0;

  /// The values that enter or leave a place that marks itself; they may be replaced.
  virtual void mark(const void* /*place*/, Side /*side*/, std::vector<at::Tensor>& /*values*/) {}

  /// Told before the mark at the end of a place that gives no single tensor: the path of each in what it gives.
  virtual void keys(const void* /*place*/, const std::vector<std::string>& /*paths*/) {}
};

/// A listener that looks on: where there is another one behind it, that is told of everything too.
class Onlooker : public Listener {
 public:
  explicit Onlooker(Listener* next = nullptr) : next_(next) {}
  void pass_on_to(Listener* next) { next_ = next; }

  SIGHTGLASS_INLINE void mark(const void* place, Side side, std::vector<at::Tensor>& values) override;
  SIGHTGLASS_INLINE void keys(const void* place, const std::vector<std::string>& paths) override;

 protected:
  void run(const OperatorHandle& op, Stack& stack) const;

 private:
  Listener* next_;
};

/// The thread-local state of the interception; only `thread_state()` below holds it.
struct C10_EXPORT ThreadState {
  Listener* listener = nullptr;  ///< who is told; null: nobody
  bool inside = false;           ///< an operation is being handled right now
  int backward_depth = 0;        ///< backward nodes that run on this thread
};

/// Default visibility: two shared libraries of one process must have one state, not two.
C10_EXPORT inline ThreadState& thread_state() {
  thread_local ThreadState of_thread;
  return of_thread;
}

/// Who is told on this thread; null: nobody.
inline Listener* listener() { return thread_state().listener; }

/// Included or not, never excluded: exclusion would win over the inclusion that a probe inside an operation needs.
void switch_key(bool on);

/// Switches the key off while an operation is handled. Afterwards it is on if someone listens: a listener that left in
/// the meantime, or was removed in a scope (`c10::InferenceMode`, autocast) that put the thread's state back, leaves it
/// off.
class Unwatched {
 public:
  Unwatched();
  Unwatched(const Unwatched&) = delete;
  Unwatched& operator=(const Unwatched&) = delete;
  ~Unwatched();

 private:
  bool was_inside_;
};

/// The boxed fallback. Autograd's worker threads inherit the key but have no listener: they simply go on.
void intercept(const OperatorHandle& op, Stack* stack);

/// Registers the fallback, once for the process.
void register_fallback();

/// True while a backward node runs on this thread. Its operations read parameters, but no layer begins there.
inline bool in_backward() { return thread_state().backward_depth > 0; }

/// Has LibTorch tell us when backward nodes run on this thread (on the CPU they run on the thread that calls
/// `backward`).
class BackwardObserver {
 public:
  BackwardObserver();
  BackwardObserver(const BackwardObserver&) = delete;
  BackwardObserver& operator=(const BackwardObserver&) = delete;
  /// A guard may outlive its thread; the thread's callbacks are gone with it.
  ~BackwardObserver();

 private:
  std::thread::id thread_ = std::this_thread::get_id();
  at::CallbackHandle handle_;
};

/// Makes `listener` the one that is told (null: nobody), for this thread.
void listen(Listener* listener);

/// Listens for the length of a scope, in place of whoever did before; may be opened while an operation is handled.
class Observed {
 public:
  explicit Observed(Listener& listener);
  Observed(const Observed&) = delete;
  Observed& operator=(const Observed&) = delete;
  ~Observed();

 private:
  Listener* outer_;
  bool was_inside_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/interceptor_inl.hpp"
#endif
