#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/script/script.hpp"

namespace sightglass {

namespace detail {

inline bool has_submodules(const torch::jit::Module& module) { return module.children().size() > 0; }

/// The place of `module`, called `name` in the model that `owner` watches.
inline Place place_in_script(std::shared_ptr<ScriptModel> owner, const std::string& name,
                             const torch::jit::Module& module) {
  owner->want(name);
  const auto type = module.type()->name();
  return {
      name, type ? type->name() : "Module", {}, module._ivalue().get(), std::move(owner), !has_submodules(module), "",
      ""};
}

inline Place place_in_script(const torch::jit::Module& model, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& item : model.named_modules()) {
    if (item.name.empty()) continue;
    if (item.name == name) return place_in_script(ScriptModel::of(model), name, item.value);
    names.push_back(item.name);
  }
  TORCH_CHECK(!names.empty(), "layer \"", name,
              "\": the TorchScript model has no submodules at all (torch::jit::freeze removes "
              "them); save it before freezing");
  C10_THROW_ERROR(Error, c10::str("layer \"", name, "\": no such submodule of the TorchScript model; nearest: ",
                                  nearest(name, names), "; sightglass::layers(model, input) lists them all"));
}

}  // namespace detail

/// The submodule called `name` of a TorchScript model, parameterless ones included.
///
/// Throws `c10::Error` for an unknown name, with the nearest ones.
inline Layer layer(const torch::jit::Module& model, const std::string& name) {
  return Layer(detail::place_in_script(model, name));
}

}  // namespace sightglass
