#pragma once

#include "sightglass/trace/interceptor.hpp"

#include <torch/library.h>

#include <memory>
#include <utility>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void Onlooker::mark(const void* place, Side side, std::vector<at::Tensor>& values) {
  if (next_ != nullptr) next_->mark(place, side, values);
}

SIGHTGLASS_INLINE void Onlooker::keys(const void* place, const std::vector<std::string>& paths) {
  if (next_ != nullptr) next_->keys(place, paths);
}

SIGHTGLASS_INLINE void Onlooker::run(const OperatorHandle& op, Stack& stack) const {
  if (next_ == nullptr) return op.callBoxed(stack);
  next_->operation(op, stack);
}

SIGHTGLASS_INLINE void switch_key(bool on) { c10::impl::tls_set_dispatch_key_included(intercepted_key, on); }

SIGHTGLASS_INLINE Unwatched::Unwatched() : was_inside_(std::exchange(thread_state().inside, true)) {
  switch_key(false);
}

SIGHTGLASS_INLINE Unwatched::~Unwatched() {
  thread_state().inside = was_inside_;
  switch_key(!was_inside_ && thread_state().listener != nullptr);
}

SIGHTGLASS_INLINE void intercept(const OperatorHandle& op, Stack* stack) {
  Listener* const listener = thread_state().listener;
  const Unwatched off;
  if (listener == nullptr) {
    op.callBoxed(*stack);
  } else {
    listener->operation(op, *stack);
  }
}

/// Inline however the library is built: the shared libraries of a process have one fallback.
C10_EXPORT inline const torch::Library& fallback() {
  static const std::unique_ptr<torch::Library> library = [] {
    try {
      auto made = std::make_unique<torch::Library>(torch::Library::IMPL, "_", intercepted_key, __FILE__, __LINE__);
      made->fallback(torch::CppFunction::makeFromBoxedFunction<&intercept>());
      return made;
    } catch (const c10::Error& error) {
      TORCH_CHECK(false, "sightglass watches models through the dispatch key ", c10::toString(intercepted_key),
                  ", which is meant for libraries outside of PyTorch, but something in this process has registered a "
                  "fallback for it already; the two cannot be used together. LibTorch said: ",
                  error.what_without_backtrace());
    }
  }();
  return *library;
}

SIGHTGLASS_INLINE void register_fallback() { fallback(); }

SIGHTGLASS_INLINE BackwardObserver::BackwardObserver()
    : handle_(at::addThreadLocalCallback(
          at::RecordFunctionCallback(
              [](const at::RecordFunction&) -> std::unique_ptr<at::ObserverContext> {
                ++thread_state().backward_depth;
                return nullptr;
              },
              [](const at::RecordFunction&, at::ObserverContext*) { --thread_state().backward_depth; })
              .scopes({at::RecordScope::BACKWARD_FUNCTION}))) {}

SIGHTGLASS_INLINE BackwardObserver::~BackwardObserver() {
  if (std::this_thread::get_id() == thread_) at::removeCallback(handle_);
}

SIGHTGLASS_INLINE void listen(Listener* listener) {
  register_fallback();
  thread_state().listener = listener;
  if (!thread_state().inside) switch_key(listener != nullptr);
}

SIGHTGLASS_INLINE Observed::Observed(Listener& listener)
    : outer_(std::exchange(thread_state().listener, &listener)),
      was_inside_(std::exchange(thread_state().inside, false)) {
  register_fallback();
  switch_key(true);
}

SIGHTGLASS_INLINE Observed::~Observed() {
  thread_state().listener = outer_;
  thread_state().inside = was_inside_;
  switch_key(!was_inside_ && outer_ != nullptr);
}

}  // namespace sightglass::detail
