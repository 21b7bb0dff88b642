#pragma once

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/script/script_calls.hpp"
#include "sightglass/trace/script/script_export.hpp"
#include "sightglass/trace/script/script_marks.hpp"

/// TorchScript models: run from a copy of the graph with marks. The user's module is not changed.
///
/// PyTorch calls TorchScript deprecated since 2.11; all of it is in the files `script*`, so that another loader can
/// stand beside it.
namespace sightglass::detail {

/// While it lives, TorchScript runs on this thread as it was written: no profiling executor, no fuser.
class AsWritten {
  jit::GraphOptimizerEnabledGuard optimised_{false};
};

/// Has every method of a module and of those in it run as it was written, from its first run on: hooks find the same
/// operations whether it ran before or not. The passes that LibTorch runs on a graph that is made of all of them,
/// before it is profiled, are left out.
void keep_as_written(const jit::Module& module);

/// An object of the same tensors, and so are those in it: what `forward` assigns to an attribute stays in the shell.
c10::intrusive_ptr<c10::ivalue::Object> shell_of(const c10::ivalue::Object& object);

/// A loaded model, run from its marked copy: the same operations in the same order at every call.
class C10_EXPORT ScriptModel final : public Runnable, public std::enable_shared_from_this<ScriptModel> {
 public:
  /// One for each module object.
  static std::shared_ptr<ScriptModel> of(const jit::Module& module) {
    static std::mutex mutex;
    static std::map<const void*, std::shared_ptr<ScriptModel>> models;
    const std::lock_guard<std::mutex> lock(mutex);
    for (auto entry = models.begin(); entry != models.end();) {
      entry = entry->second->object_.expired() ? models.erase(entry) : std::next(entry);
    }
    std::shared_ptr<ScriptModel>& model = models[module._ivalue().get()];
    if (model == nullptr) model = std::make_shared<ScriptModel>(module);
    return model;
  }

  explicit ScriptModel(const jit::Module& module);

  /// Marks the submodule called `path` from the next run on.
  void want(const std::string& path);

  /// The object that the graph's first input stands for.
  c10::intrusive_ptr<c10::ivalue::Object> object() const;
  /// A copy of the graph of `forward`, with the marks.
  std::shared_ptr<jit::Graph> marked_graph() const;

  /// How the file was exported; read once.
  const ExportReader& exported();

  RunnableId id() const override { return {address_}; }
  SIGHTGLASS_INLINE std::weak_ptr<const void> lifetime() const override;
  std::string describe() const override { return "the TorchScript model"; }
  SIGHTGLASS_INLINE std::vector<at::Tensor> state() const override;
  SIGHTGLASS_INLINE std::vector<at::Tensor> buffers() const override;
  /// Some modules take another way where gradients are off (attention's fast path).
  SIGHTGLASS_INLINE uint64_t mode() const override;
  bool announces_calls() const override { return true; }
  SIGHTGLASS_INLINE std::string remedy() const override;

  /// Keeps fusers from changing the stream of the user's own `forward` calls, and has them announced.
  std::shared_ptr<void> while_watched() override {
    struct Watched {
      AsWritten as_written;
      std::shared_ptr<ScriptCalls> calls = ScriptCalls::begin_on_thread();
    };
    thread_local std::weak_ptr<Watched> of_thread;
    std::shared_ptr<Watched> guard = of_thread.lock();
    if (guard == nullptr) of_thread = guard = std::make_shared<Watched>();
    forget_optimised();  // under the guard: an executor that is made now takes the graph as it was written
    return guard;
  }

  SIGHTGLASS_INLINE std::optional<uint64_t> announced_call() const override;
  SIGHTGLASS_INLINE std::vector<at::Tensor> announced_inputs() const override;

  /// Runs the announced call on other tensors; where none is announced, `forward` of these.
  SIGHTGLASS_INLINE std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) override;

  /// What the model gives for `inputs`, run operation by operation from the marked copy.
  c10::IValue forward(std::vector<c10::IValue> inputs);

 private:
  /// A model that has run, be it once, keeps the graph that was optimised then, whatever is asked for later. It makes
  /// another when it runs unwatched again.
  void forget_optimised() const;
  /// What a graph was made of as it was written calls functions, each of which keeps a graph of its own.
  static void forget_optimised(torch::jit::Function& function, std::set<const torch::jit::Function*>& seen);

  const ScriptCall* under_way() const;

  /// `given`: values with the model itself.
  static void check_count(const c10::FunctionSchema& schema, size_t given);

  std::shared_ptr<const jit::Code> marked_code(const jit::Module& module);

  c10::weak_intrusive_ptr<c10::ivalue::Object> object_;
  const void* address_;
  mutable std::mutex mutex_;
  std::set<std::string> paths_;
  std::unique_ptr<ExportReader> exported_;
  std::shared_ptr<const jit::Code> code_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/script_inl.hpp"
#endif
