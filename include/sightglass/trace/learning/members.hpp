#pragma once

#include <torch/nn/module.h>
#include <torch/nn/modules/container/any_module_holder.h>

#include <algorithm>
#include <memory>
#include <string>

namespace sightglass::detail {
struct Members;
}

/// What a module holds itself, without the recursion, names and dictionaries that LibTorch's public functions make for
/// each call: for a small network they cost more than its explanation. This template of LibTorch's is a friend of
/// modules, whatever its arguments.
template <>
struct torch::nn::AnyModuleHolder<sightglass::detail::Members> {
  using NamedTensors = torch::OrderedDict<std::string, at::Tensor>;
  using Children = torch::OrderedDict<std::string, std::shared_ptr<torch::nn::Module>>;
  static const NamedTensors& parameters(const torch::nn::Module& module) { return module.parameters_; }
  static const NamedTensors& buffers(const torch::nn::Module& module) { return module.buffers_; }
  static const Children& children(const torch::nn::Module& module) { return module.children_; }
};

namespace sightglass::detail {

/// Names for the three: `MembersOf::parameters(module)`, `buffers`, `children`.
using MembersOf = torch::nn::AnyModuleHolder<Members>;

/// True where `holds(module)` for `module` or any inside of it.
template <class Holds>
bool any_module(const torch::nn::Module& module, const Holds& holds) {
  const auto& children = MembersOf::children(module);
  return holds(module) || std::any_of(children.begin(), children.end(),
                                      [&](const auto& child) { return any_module(*child.value(), holds); });
}

}  // namespace sightglass::detail
