#pragma once

#include "sightglass/trace/learning/module.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool any_defined(const MembersOf::NamedTensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& item) { return item.value().defined(); });
}

SIGHTGLASS_INLINE bool has_state(const torch::nn::Module& module) {
  return any_module(module, [](const torch::nn::Module& each) {
    return any_defined(MembersOf::parameters(each)) || any_defined(MembersOf::buffers(each));
  });
}

SIGHTGLASS_INLINE uint64_t training_flags(const std::vector<std::weak_ptr<torch::nn::Module>>& modules) {
  uint64_t flags = 1;
  for (const auto& weak : modules) {
    const auto module = weak.lock();
    flags = flags * 31 + (module != nullptr && module->is_training() ? 2 : 1);
  }
  return flags;
}

SIGHTGLASS_INLINE ModuleRunnable::ModuleRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name,
                                                 Callable callable)
    : module_(module), address_(module.get()), name_(std::move(name)), callable_(std::move(callable)) {
  const torch::nn::Module& known = *module;
  type_ = c10::demangle(typeid(known).name());
  lives_with_ = module;
  if (module.use_count() == 0) {  // on the stack: its children tell how long it lives
    lent_ = std::shared_ptr<torch::nn::Module>(module.get(), [](torch::nn::Module*) {});
    module_ = lent_;
    modules_.emplace_back(lent_);
    const auto& children = MembersOf::children(*module);
    lives_with_ = children.is_empty() ? lent_ : children.begin()->value();
  }
  for (const auto& each : module->modules(/*include_self=*/lent_ == nullptr)) modules_.emplace_back(each);
}

SIGHTGLASS_INLINE uint64_t ModuleRunnable::mode() const { return lives_with_.expired() ? 0 : training_flags(modules_); }

SIGHTGLASS_INLINE std::vector<at::Tensor> ModuleRunnable::state() const {
  std::vector<at::Tensor> all = buffers();
  collect(all, MembersOf::parameters);
  return all;
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ModuleRunnable::buffers() const {
  std::vector<at::Tensor> all;
  collect(all, MembersOf::buffers);
  return all;
}

SIGHTGLASS_INLINE std::vector<at::Tensor> ModuleRunnable::run(const std::vector<at::Tensor>& inputs) {
  const auto alive = module();
  TORCH_CHECK(alive != nullptr, describe(), " no longer exists");
  return callable_.call(*alive, inputs);
}

SIGHTGLASS_INLINE std::unique_ptr<Preserved> ModuleRunnable::preserve() const {
  return std::make_unique<PlainState>(all_modules());
}

SIGHTGLASS_INLINE bool ModuleRunnable::keeps_tensors() const { return keeps_other_tensors(all_modules(), state()); }

SIGHTGLASS_INLINE std::shared_ptr<torch::nn::Module> ModuleRunnable::module() const {
  return lives_with_.expired() ? nullptr : module_.lock();
}

SIGHTGLASS_INLINE void ModuleRunnable::collect(
    std::vector<at::Tensor>& into, const MembersOf::NamedTensors& (*tensors_of)(const torch::nn::Module&)) const {
  if (lives_with_.expired()) return;
  for (const auto& weak : modules_) {
    const auto each = weak.lock();
    if (each == nullptr) continue;
    for (const auto& item : tensors_of(*each)) {
      if (item.value().defined()) into.push_back(item.value());
    }
  }
}

SIGHTGLASS_INLINE std::vector<std::shared_ptr<torch::nn::Module>> ModuleRunnable::all_modules() const {
  std::vector<std::shared_ptr<torch::nn::Module>> all;
  if (lives_with_.expired()) return all;
  for (const auto& weak : modules_) all.push_back(weak.lock());
  return all;
}

SIGHTGLASS_INLINE Callable callable_of_child(const std::shared_ptr<torch::nn::SequentialImpl>& parent, size_t index) {
  const std::weak_ptr<torch::nn::SequentialImpl> weak = parent;
  return {{1}, [weak, index](torch::nn::Module& /*module*/, const Tensors& inputs) {
            const auto alive = weak.lock();
            TORCH_CHECK(alive != nullptr && index < alive->size(), "the Sequential around it no longer exists");
            torch::nn::AnyValue value =
                (alive->begin() + static_cast<std::ptrdiff_t>(index))->any_forward(inputs.at(0));
            Tensors outputs;
            TORCH_CHECK(flatten_any(value, outputs), "it returns a ", c10::demangle(value.type_info().name()),
                        ", which holds no tensors that sightglass can find");
            return outputs;
          }};
}

SIGHTGLASS_INLINE bool is_plain_sequential(const torch::nn::Module& module) {
  return typeid(module) == typeid(torch::nn::SequentialImpl);
}

SIGHTGLASS_INLINE torch::nn::AnyValue run_sequential(torch::nn::SequentialImpl& sequential, torch::nn::AnyValue value) {
  const auto announce_value = [](const void* place, Side side, torch::nn::AnyValue& announced) {
    Tensors tensors;
    if (flatten_any(announced, tensors)) announce(place, side, tensors);
  };
  TORCH_CHECK(!sequential.is_empty(), "Cannot call forward() on an empty Sequential");
  for (torch::nn::AnyModule& child : sequential) {
    const std::shared_ptr<torch::nn::Module> module = child.ptr();
    announce_value(module.get(), Side::begin, value);
    value = child.any_forward(std::move(value));
    announce_value(module.get(), Side::end, value);
  }
  return value;
}

SIGHTGLASS_INLINE Callable callable_of_sequential() {
  return {{1}, [](torch::nn::Module& module, const Tensors& inputs) {
            torch::nn::AnyValue value =
                run_sequential(dynamic_cast<torch::nn::SequentialImpl&>(module), torch::nn::AnyValue(inputs.at(0)));
            Tensors outputs;
            flatten_any(value, outputs);
            return outputs;
          }};
}

SIGHTGLASS_INLINE SequentialRunnable::SequentialRunnable(const std::shared_ptr<torch::nn::Module>& module,
                                                         std::string name)
    : ModuleRunnable(module, std::move(name), callable_of_sequential()), plain_(is_plain_sequential(*module)) {}

SIGHTGLASS_INLINE RunnableId SequentialRunnable::id() const {
  return {ModuleRunnable::id().address, plain_ ? RunnableId::Kind::forward : RunnableId::Kind::children};
}

SIGHTGLASS_INLINE bool SequentialRunnable::begins_without_state() const {
  const auto alive = module();
  const auto children = alive == nullptr ? std::vector<std::shared_ptr<torch::nn::Module>>() : alive->children();
  return !children.empty() && !has_state(*children.front());
}

}  // namespace sightglass::detail
