#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <type_traits>

#include "sightglass/trace/learning/callable.hpp"

/// What a `torch::nn` model is given as: a handle, a shared pointer, or the module itself.
namespace sightglass::detail {

template <class T, class = void>
struct holds_module : std::false_type {};
template <class T>
struct holds_module<T, std::void_t<typename T::ContainedType>>
    : std::is_base_of<torch::nn::Module, typename T::ContainedType> {};
template <class T>
struct is_shared_module : std::false_type {};
template <class Impl>
struct is_shared_module<std::shared_ptr<Impl>> : std::is_base_of<torch::nn::Module, Impl> {};
/// Handles, shared pointers, and modules themselves.
template <class T>
constexpr bool is_module_like =
    holds_module<T>::value || is_shared_module<T>::value || std::is_base_of_v<torch::nn::Module, T>;

/// The module of a handle or shared pointer, with its own type.
template <class Net>
auto shared_impl(const Net& net) {
  if constexpr (holds_module<Net>::value) {
    return net.ptr();
  } else {
    return net;
  }
}

/// A model itself as a shared pointer. One on the stack is lent: the pointer owns nothing (its count is 0).
template <class Net>
std::shared_ptr<Net> lend(const Net& net) {
  auto* const address = const_cast<Net*>(&net);
  std::shared_ptr<torch::nn::Module> shared;
  try {
    shared = static_cast<torch::nn::Module*>(address)->shared_from_this();
  } catch (const std::bad_weak_ptr&) {
    shared = nullptr;
  }
  return std::shared_ptr<Net>(shared, address);
}

/// `module`, whose type is known from now on.
template <class Impl>
std::shared_ptr<torch::nn::Module> made_known(const std::shared_ptr<Impl>& module) {
  if (module != nullptr) KnownTypes::global().add(*module);
  return module;
}

/// The model as a shared pointer; its type is made known on the way.
template <class Model>
std::shared_ptr<torch::nn::Module> root_of(const Model& model) {
  if constexpr (holds_module<Model>::value) {
    return root_of(model.ptr());
  } else if constexpr (is_shared_module<Model>::value) {
    TORCH_CHECK(model != nullptr, "model: got a null pointer");
    return made_known(model);
  } else {
    return root_of(lend(model));
  }
}

}  // namespace sightglass::detail
