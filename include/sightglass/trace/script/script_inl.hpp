#pragma once

#include "sightglass/trace/script/script.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE c10::intrusive_ptr<c10::ivalue::Object> shell_of(const c10::ivalue::Object& object) {
  auto shell = object.copy();
  for (size_t slot = 0; slot < shell->slots().size(); ++slot) {
    if (shell->getSlot(slot).isModule()) shell->setSlot(slot, shell_of(shell->getSlot(slot).toObjectRef()));
  }
  return shell;
}

SIGHTGLASS_INLINE void keep_as_written(const jit::Module& module) {
  const AsWritten as_written;
  for (const jit::Module& part : module.modules()) {
    for (const jit::Method& method : part.get_methods()) {
      if (auto* const with_graph = jit::tryToGraphFunction(method.function())) with_graph->get_executor();
    }
  }
}

SIGHTGLASS_INLINE ScriptModel::ScriptModel(const jit::Module& module)
    : object_(module._ivalue()), address_(module._ivalue().get()) {}

SIGHTGLASS_INLINE void ScriptModel::want(const std::string& path) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (paths_.insert(path).second) code_.reset();
}

SIGHTGLASS_INLINE c10::intrusive_ptr<c10::ivalue::Object> ScriptModel::object() const {
  auto object = object_.lock();
  TORCH_CHECK(object, "the TorchScript model no longer exists");
  return object;
}

SIGHTGLASS_INLINE std::shared_ptr<jit::Graph> ScriptModel::marked_graph() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return Marker(paths_).mark(jit::Module(object()));
}

SIGHTGLASS_INLINE const ExportReader& ScriptModel::exported() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (exported_ == nullptr) exported_ = std::make_unique<ExportReader>(jit::Module(object()));
  return *exported_;
}

SIGHTGLASS_INLINE std::weak_ptr<const void> ScriptModel::lifetime() const {
  return object_.expired() ? std::weak_ptr<const void>() : std::weak_ptr<const void>(weak_from_this());
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ScriptModel::state() const {
  std::vector<at::Tensor> all = buffers();
  if (const auto object = object_.lock()) {
    for (const at::Tensor& parameter : jit::Module(object).parameters()) all.push_back(parameter);
  }
  return all;
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ScriptModel::buffers() const {
  std::vector<at::Tensor> all;
  if (const auto object = object_.lock()) {
    for (const at::Tensor& buffer : jit::Module(object).buffers()) all.push_back(buffer);
  }
  return all;
}

SIGHTGLASS_INLINE uint64_t ScriptModel::mode() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto object = object_.lock();
  const bool training = object && jit::Module(object).hasattr("training") && jit::Module(object).is_training();
  return paths_.size() * 4 + (training ? 2 : 0) + (at::GradMode::is_enabled() ? 1 : 0);
}

SIGHTGLASS_INLINE std::string ScriptModel::remedy() const {
  return "run the model by sightglass::Model(script).forward(input), which tells its layers exactly, in place of "
         "script.forward";
}

SIGHTGLASS_INLINE std::optional<uint64_t> ScriptModel::announced_call() const {
  const ScriptCall* const call = under_way();
  return call == nullptr ? std::nullopt : std::optional<uint64_t>(call->number);
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ScriptModel::announced_inputs() const {
  const ScriptCall* const call = under_way();
  return call == nullptr ? std::vector<at::Tensor>() : flat_tensors(call->inputs);
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ScriptModel::run(const std::vector<at::Tensor>& inputs) {
  std::vector<c10::IValue> given(inputs.begin(), inputs.end());
  if (const ScriptCall* const call = under_way()) {
    given = call->inputs;
    size_t index = 0;
    for (c10::IValue& value : given) change_tensors(value, [&](const at::Tensor&) { return inputs.at(index++); });
  }
  const c10::IValue output = forward(std::move(given));
  return flat_tensors(c10::ArrayRef<c10::IValue>(output));
}

SIGHTGLASS_INLINE c10::IValue ScriptModel::forward(std::vector<c10::IValue> inputs) {
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

SIGHTGLASS_INLINE void ScriptModel::forget_optimised() const {
  const auto object = object_.lock();
  if (!object || !jit::Module(object).find_method("forward")) return;
  std::set<const torch::jit::Function*> seen;
  forget_optimised(jit::Module(object).get_method("forward").function(), seen);
}

SIGHTGLASS_INLINE void ScriptModel::forget_optimised(torch::jit::Function& function,
                                                     std::set<const torch::jit::Function*>& seen) {
  auto* const with_graph = jit::tryToGraphFunction(function);
  if (with_graph == nullptr || !seen.insert(&function).second) return;
  with_graph->get_executor().debugFlushCompilationCache();
  for (torch::jit::Function* const called : called_by(*with_graph->optimized_graph()->block()))
    forget_optimised(*called, seen);
}

SIGHTGLASS_INLINE const ScriptCall* ScriptModel::under_way() const {
  const auto calls = ScriptCalls::of_thread();
  return calls == nullptr ? nullptr : calls->under_way(address_);
}

SIGHTGLASS_INLINE void ScriptModel::check_count(const c10::FunctionSchema& schema, size_t given) {
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

SIGHTGLASS_INLINE std::shared_ptr<const jit::Code> ScriptModel::marked_code(const jit::Module& module) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (code_ == nullptr) code_ = std::make_shared<const jit::Code>(Marker(paths_).mark(module), "sightglass");
  return code_;
}

}  // namespace sightglass::detail
