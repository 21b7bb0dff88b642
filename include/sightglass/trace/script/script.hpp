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

/// An object of the same tensors, and so are those in it: what `forward` assigns to an attribute stays in the shell.
inline c10::intrusive_ptr<c10::ivalue::Object> shell_of(const c10::ivalue::Object& object) {
  auto shell = object.copy();
  for (size_t slot = 0; slot < shell->slots().size(); ++slot) {
    if (shell->getSlot(slot).isModule()) shell->setSlot(slot, shell_of(shell->getSlot(slot).toObjectRef()));
  }
  return shell;
}

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

  explicit ScriptModel(const jit::Module& module) : object_(module._ivalue()), address_(module._ivalue().get()) {}

  /// Marks the submodule called `path` from the next run on.
  void want(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (paths_.insert(path).second) code_.reset();
  }

  /// The object that the graph's first input stands for.
  c10::intrusive_ptr<c10::ivalue::Object> object() const {
    auto object = object_.lock();
    TORCH_CHECK(object, "the TorchScript model no longer exists");
    return object;
  }
  /// A copy of the graph of `forward`, with the marks.
  std::shared_ptr<jit::Graph> marked_graph() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return Marker(paths_).mark(jit::Module(object()));
  }

  /// How the file was exported; read once.
  const ExportReader& exported() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (exported_ == nullptr) exported_ = std::make_unique<ExportReader>(jit::Module(object()));
    return *exported_;
  }

  const void* id() const override { return address_; }
  std::weak_ptr<const void> lifetime() const override {
    return object_.expired() ? std::weak_ptr<const void>() : std::weak_ptr<const void>(weak_from_this());
  }
  std::string describe() const override { return "the TorchScript model"; }
  std::vector<at::Tensor> state() const override {
    std::vector<at::Tensor> all = buffers();
    if (const auto object = object_.lock()) {
      for (const at::Tensor& parameter : jit::Module(object).parameters()) all.push_back(parameter);
    }
    return all;
  }
  std::vector<at::Tensor> buffers() const override {
    std::vector<at::Tensor> all;
    if (const auto object = object_.lock()) {
      for (const at::Tensor& buffer : jit::Module(object).buffers()) all.push_back(buffer);
    }
    return all;
  }
  /// Some modules take another way where gradients are off (attention's fast path).
  uint64_t mode() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto object = object_.lock();
    const bool training = object && jit::Module(object).hasattr("training") && jit::Module(object).is_training();
    return paths_.size() * 4 + (training ? 2 : 0) + (at::GradMode::is_enabled() ? 1 : 0);
  }
  bool announces_calls() const override { return true; }
  std::string remedy() const override {
    return "run the model by sightglass::Model(script).forward(input), which tells its layers exactly, in place of "
           "script.forward";
  }

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

  uint64_t announced_call() const override {
    const ScriptCall* const call = under_way();
    return call == nullptr ? 0 : call->number;
  }
  std::vector<at::Tensor> announced_inputs() const override {
    const ScriptCall* const call = under_way();
    return call == nullptr ? std::vector<at::Tensor>() : flat_tensors(call->inputs);
  }

  /// Runs the announced call on other tensors; where none is announced, `forward` of these.
  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) override {
    std::vector<c10::IValue> given(inputs.begin(), inputs.end());
    if (const ScriptCall* const call = under_way()) {
      given = call->inputs;
      size_t index = 0;
      for (c10::IValue& value : given) change_tensors(value, [&](const at::Tensor&) { return inputs.at(index++); });
    }
    const c10::IValue output = forward(std::move(given));
    return flat_tensors(c10::ArrayRef<c10::IValue>(output));
  }

  /// What the model gives for `inputs`, run operation by operation from the marked copy.
  c10::IValue forward(std::vector<c10::IValue> inputs) {
    const auto object = this->object();
    // Submodules without marks are still called as functions, each with an executor of its own.
    const AsWritten as_written;
    Stack stack{c10::IValue(shell_of(*object))};
    for (c10::IValue& input : inputs) stack.push_back(std::move(input));
    const std::shared_ptr<const jit::Code> code = marked_code(jit::Module(object));
    const auto& schema = jit::Module(object).get_method("forward").function().getSchema();
    check_count(schema, stack.size());
    schema.checkAndNormalizeInputs(stack);
    jit::InterpreterState(*code).run(stack);
    return stack.size() == 1 ? stack.front() : c10::IValue(c10::ivalue::Tuple::create(std::move(stack)));
  }

 private:
  /// A model that has run a few times keeps the graph that was optimised then, whatever is asked for later. It makes
  /// another when it runs unwatched again.
  void forget_optimised() const {
    const auto object = object_.lock();
    if (!object || !jit::Module(object).find_method("forward")) return;
    auto* const forward = jit::tryToGraphFunction(jit::Module(object).get_method("forward").function());
    if (forward != nullptr && forward->get_executor().isOptimized())
      forward->get_executor().debugFlushCompilationCache();
  }

  const ScriptCall* under_way() const {
    const auto calls = ScriptCalls::of_thread();
    return calls == nullptr ? nullptr : calls->under_way(address_);
  }

  /// `given`: values with the model itself.
  static void check_count(const c10::FunctionSchema& schema, size_t given) {
    size_t needed = 0;
    std::string takes;
    for (size_t i = 1; i < schema.arguments().size(); ++i) {
      const c10::Argument& argument = schema.arguments()[i];
      takes += (i > 1 ? ", " : "") + argument.name() + ": " + argument.type()->annotation_str();
      if (!argument.default_value()) needed = i;
    }
    TORCH_CHECK(given > needed, "model: its forward takes ", needed, " inputs (", takes, "), and got ", given - 1,
                "; give them all by a function: sightglass::Model(script, [&](const torch::Tensor& x) { return "
                "script.forward({x, ...}); })");
  }

  std::shared_ptr<const jit::Code> marked_code(const jit::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (code_ == nullptr) code_ = std::make_shared<const jit::Code>(Marker(paths_).mark(module), "sightglass");
    return code_;
  }

  c10::weak_intrusive_ptr<c10::ivalue::Object> object_;
  const void* address_;
  mutable std::mutex mutex_;
  std::set<std::string> paths_;
  std::unique_ptr<ExportReader> exported_;
  std::shared_ptr<const jit::Code> code_;
};

}  // namespace sightglass::detail
