#pragma once

#include "sightglass/trace/script/script_calls.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::shared_ptr<ScriptCalls> ScriptCalls::of_thread() { return here().lock(); }

SIGHTGLASS_INLINE std::shared_ptr<ScriptCalls> ScriptCalls::begin_on_thread() {
  std::shared_ptr<ScriptCalls> calls = of_thread();
  if (calls == nullptr) here() = calls = std::make_shared<ScriptCalls>();
  return calls;
}

SIGHTGLASS_INLINE ScriptCalls::ScriptCalls()
    : handle_(at::addThreadLocalCallback(
          at::RecordFunctionCallback(&begin, &end).needsInputs(true).scopes({at::RecordScope::TORCHSCRIPT_FUNCTION}))) {
}

SIGHTGLASS_INLINE ScriptCalls::~ScriptCalls() {
  if (std::this_thread::get_id() == thread_) at::removeCallback(handle_);
}

SIGHTGLASS_INLINE const ScriptCall* ScriptCalls::under_way(const void* self) const {
  for (auto call = open_.rbegin(); call != open_.rend(); ++call) {
    if (call->self == self) return &*call;
  }
  return nullptr;
}

SIGHTGLASS_INLINE std::unique_ptr<at::ObserverContext> ScriptCalls::begin(const at::RecordFunction& function) {
  const auto calls = here().lock();
  if (calls == nullptr) return nullptr;
  const c10::ArrayRef<const c10::IValue> inputs = recorded_inputs(function);
  const bool method = !inputs.empty() && inputs[0].isObject();
  const void* const self = method ? inputs[0].toObject().get() : nullptr;
  const bool again = !calls->open_.empty() && method && calls->open_.back().self == self;
  calls->open_.push_back({again ? calls->open_.back().number : ++calls->count_, self, {}});
  if (method) calls->open_.back().inputs.assign(inputs.begin() + 1, inputs.end());
  return nullptr;
}

SIGHTGLASS_INLINE void ScriptCalls::end(const at::RecordFunction& /*function*/, at::ObserverContext* /*context*/) {
  const auto calls = here().lock();
  if (calls != nullptr && !calls->open_.empty()) calls->open_.pop_back();
}

}  // namespace sightglass::detail
