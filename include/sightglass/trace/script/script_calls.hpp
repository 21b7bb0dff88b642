#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/record_function.h>
#include <c10/macros/Export.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "sightglass/trace/interceptor.hpp"

/// The calls of TorchScript methods on this thread, as LibTorch tells its profilers of them: when a user calls
/// `module.forward({...})`, and with what.
namespace sightglass::detail {

/// A method that runs.
struct ScriptCall {
  uint64_t number;                  ///< another one for each call of an object from outside of it
  const void* self;                 ///< the object whose method it is
  std::vector<c10::IValue> inputs;  ///< without the object
};

// `RecordFunction::inputs()` asserts, in builds with assertions, what only a LibTorch with assertions notes.
template <c10::ArrayRef<const c10::IValue> at::RecordFunction::*member>
struct RecordedInputs {
  friend c10::ArrayRef<const c10::IValue> recorded_inputs(const at::RecordFunction& function) {
    return function.*member;
  }
};
c10::ArrayRef<const c10::IValue> recorded_inputs(const at::RecordFunction& function);
template struct RecordedInputs<&at::RecordFunction::inputs_>;

/// Has LibTorch tell of the calls while it lives.
class C10_EXPORT ScriptCalls {
 public:
  /// This thread's; null where nobody has begun.
  static std::shared_ptr<ScriptCalls> of_thread();
  /// The same, begun where nobody has. Ends with the last who holds it.
  static std::shared_ptr<ScriptCalls> begin_on_thread();

  ScriptCalls();
  ScriptCalls(const ScriptCalls&) = delete;
  ScriptCalls& operator=(const ScriptCalls&) = delete;
  ~ScriptCalls();

  /// The innermost call of `self` under way; null where there is none.
  const ScriptCall* under_way(const void* self) const;

 private:
  static std::weak_ptr<ScriptCalls>& here() {
    thread_local std::weak_ptr<ScriptCalls> of_thread;
    return of_thread;
  }

  /// What is told twice of one call, by the method and by what runs it, is one call.
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function);
  static void end(const at::RecordFunction& /*function*/, at::ObserverContext* /*context*/);

  std::thread::id thread_ = std::this_thread::get_id();
  at::CallbackHandle handle_;
  std::vector<ScriptCall> open_;
  uint64_t count_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/script_calls_inl.hpp"
#endif
