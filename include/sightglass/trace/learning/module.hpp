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

#include "sightglass/inline.hpp"
#include "sightglass/trace/learning/callable.hpp"
#include "sightglass/trace/learning/members.hpp"
#include "sightglass/trace/learning/plain_state.hpp"
#include "sightglass/trace/runnable.hpp"

/// `torch::nn` modules as runnables.
namespace sightglass::detail {

/// Whether any is defined: LibTorch registers undefined tensors for parameters that were not asked for.
bool any_defined(const MembersOf::NamedTensors& tensors);

bool has_state(const torch::nn::Module& module);

/// Training flags of a module and all inside of it, as one number.
uint64_t training_flags(const std::vector<std::weak_ptr<torch::nn::Module>>& modules);

/// A module whose `forward` can be called.
class ModuleRunnable : public Runnable {
 public:
  ModuleRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name, Callable callable);

  RunnableId id() const override { return {address_}; }
  std::weak_ptr<const void> lifetime() const override { return lives_with_; }
  std::string describe() const override { return "layer \"" + name_ + "\" (" + type_ + ")"; }
  std::vector<size_t> input_counts() const override { return callable_.input_counts; }
  SIGHTGLASS_INLINE uint64_t mode() const override;

  SIGHTGLASS_INLINE std::vector<at::Tensor> state() const override;
  SIGHTGLASS_INLINE std::vector<at::Tensor> buffers() const override;

  SIGHTGLASS_INLINE std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) override;
  SIGHTGLASS_INLINE std::unique_ptr<Preserved> preserve() const override;
  SIGHTGLASS_INLINE bool keeps_tensors() const override;

 protected:
  std::shared_ptr<torch::nn::Module> module() const;

 private:
  void collect(std::vector<at::Tensor>& into,
               const MembersOf::NamedTensors& (*tensors_of)(const torch::nn::Module&)) const;

  std::vector<std::shared_ptr<torch::nn::Module>> all_modules() const;

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
Callable callable_of_child(const std::shared_ptr<torch::nn::SequentialImpl>& parent, size_t index);

/// True where `SequentialImpl::forward` is what runs, not a derived class's own.
bool is_plain_sequential(const torch::nn::Module& module);

/// Does what `SequentialImpl::forward` does, and announces each child, so that children which read no parameter or run
/// no operation have exact places. (A plain `Sequential` cannot hold another: LibTorch wants a derived class there.)
torch::nn::AnyValue run_sequential(torch::nn::SequentialImpl& sequential, torch::nn::AnyValue value);

Callable callable_of_sequential();

/// The run of a `Sequential` child by child. For a class derived from it this is not the module's own `forward`, so
/// that it has another identity.
class SequentialRunnable final : public ModuleRunnable {
 public:
  SequentialRunnable(const std::shared_ptr<torch::nn::Module>& module, std::string name);

  SIGHTGLASS_INLINE RunnableId id() const override;
  SIGHTGLASS_INLINE bool begins_without_state() const override;

 private:
  bool plain_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/module_inl.hpp"
#endif
