#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/any.h>
#include <torch/nn/modules/container/sequential.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <typeinfo>
#include <utility>
#include <vector>

#include "sightglass/trace/learning/callable.hpp"
#include "sightglass/trace/learning/members.hpp"
#include "sightglass/trace/learning/plain_state.hpp"
#include "sightglass/trace/runnable.hpp"

/// `torch::nn` modules as runnables.
namespace sightglass::detail {

/// Whether any is defined: LibTorch registers undefined tensors for parameters that were not asked for.
inline bool any_defined(const MembersOf::Tensors& tensors) {
  return std::any_of(tensors.begin(), tensors.end(), [](const auto& item) { return item.value().defined(); });
}

inline bool has_state(const torch::nn::Module& module) {
  return any_module(module, [](const torch::nn::Module& each) {
    return any_defined(MembersOf::parameters(each)) || any_defined(MembersOf::buffers(each));
  });
}

/// Training flags of a module and all inside of it, as one number.
inline uint64_t training_flags(const std::vector<std::weak_ptr<torch::nn::Module>>& modules) {
  uint64_t flags = 1;
  for (const auto& weak : modules) {
    const auto module = weak.lock();
    flags = flags * 31 + (module != nullptr && module->is_training() ? 2 : 1);
  }
  return flags;
}

/// A module whose `forward` can be called.
class ModuleRunnable : public Runnable {
 public:
  ModuleRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name, Callable callable)
      : module_(module),
        address_(module.get()),
        name_(std::move(name)),
        type_(c10::demangle(typeid(*module).name())),
        callable_(std::move(callable)) {
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

  const void* id() const override { return address_; }
  std::weak_ptr<const void> lifetime() const override { return lives_with_; }
  std::string describe() const override { return "layer \"" + name_ + "\" (" + type_ + ")"; }
  std::vector<size_t> input_counts() const override { return callable_.input_counts; }
  uint64_t mode() const override { return lives_with_.expired() ? 0 : training_flags(modules_); }

  std::vector<at::Tensor> state() const override {
    std::vector<at::Tensor> all = buffers();
    collect(all, MembersOf::parameters);
    return all;
  }
  std::vector<at::Tensor> buffers() const override {
    std::vector<at::Tensor> all;
    collect(all, MembersOf::buffers);
    return all;
  }

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) override {
    const auto alive = module();
    TORCH_CHECK(alive != nullptr, describe(), " no longer exists");
    return callable_.call(*alive, inputs);
  }
  std::unique_ptr<Preserved> preserve() const override { return std::make_unique<PlainState>(all_modules()); }
  bool keeps_tensors() const override { return keeps_other_tensors(all_modules(), state()); }

 protected:
  std::shared_ptr<torch::nn::Module> module() const { return lives_with_.expired() ? nullptr : module_.lock(); }

 private:
  void collect(std::vector<at::Tensor>& into, const MembersOf::Tensors& (*tensors_of)(const torch::nn::Module&)) const {
    if (lives_with_.expired()) return;
    for (const auto& weak : modules_) {
      const auto each = weak.lock();
      if (each == nullptr) continue;
      for (const auto& item : tensors_of(*each)) {
        if (item.value().defined()) into.push_back(item.value());
      }
    }
  }

  std::vector<std::shared_ptr<torch::nn::Module>> all_modules() const {
    std::vector<std::shared_ptr<torch::nn::Module>> all;
    if (lives_with_.expired()) return all;
    for (const auto& weak : modules_) all.push_back(weak.lock());
    return all;
  }

  std::weak_ptr<torch::nn::Module> module_;
  std::weak_ptr<torch::nn::Module> lives_with_;  // the module, or a child of one on the stack
  std::shared_ptr<torch::nn::Module> lent_;      // one on the stack
  const void* address_;
  std::string name_;
  std::string type_;
  Callable callable_;
  std::vector<std::weak_ptr<torch::nn::Module>> modules_;
};

/// The child at `index` of a `Sequential`, called through the `AnyModule` that the container holds already.
inline Callable callable_of_child(const std::shared_ptr<torch::nn::SequentialImpl>& parent, size_t index) {
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

/// True where `SequentialImpl::forward` is what runs, not a derived class's own.
inline bool is_plain_sequential(const torch::nn::Module& module) {
  return typeid(module) == typeid(torch::nn::SequentialImpl);
}

/// Does what `SequentialImpl::forward` does, and announces each child, so that children which read no parameter or run
/// no operation have exact places. (A plain `Sequential` cannot hold another: LibTorch wants a derived class there.)
inline torch::nn::AnyValue run_sequential(torch::nn::SequentialImpl& sequential, torch::nn::AnyValue value) {
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

inline Callable callable_of_sequential() {
  return {{1}, [](torch::nn::Module& module, const Tensors& inputs) {
            torch::nn::AnyValue value =
                run_sequential(dynamic_cast<torch::nn::SequentialImpl&>(module), torch::nn::AnyValue(inputs.at(0)));
            Tensors outputs;
            flatten_any(value, outputs);
            return outputs;
          }};
}

/// The run of a `Sequential` child by child. For a class derived from it this is not the module's own `forward`, hence
/// another identity.
class SequentialRunnable final : public ModuleRunnable {
 public:
  SequentialRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name)
      : ModuleRunnable(module, std::move(name), callable_of_sequential()), plain_(is_plain_sequential(*module)) {}

  const void* id() const override {
    const auto* const address = static_cast<const char*>(ModuleRunnable::id());
    return plain_ ? address : address + 1;
  }
  bool begins_without_state() const override {
    const auto alive = module();
    const auto children = alive == nullptr ? std::vector<std::shared_ptr<torch::nn::Module>>() : alive->children();
    return !children.empty() && !has_state(*children.front());
  }

 private:
  bool plain_;
};

}  // namespace sightglass::detail
