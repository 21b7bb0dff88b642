#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"
#include "sightglass/trace/script.hpp"

namespace sightglass {

namespace detail {

inline bool has_submodules(const torch::jit::Module& module) { return module.children().size() > 0; }

inline Place place_in_script(const torch::jit::Module& model, const std::string& name) {
  std::vector<std::string> names;
  for (const auto& item : model.named_modules()) {
    if (item.name == name && !name.empty()) {
      auto owner = ScriptModel::of(model);
      owner->want(name);
      const auto type = item.value.type()->name();
      return {name, type ? type->name() : "Module", {}, item.value._ivalue().get(), owner, !has_submodules(item.value), ""};
    }
    if (!item.name.empty()) names.push_back(item.name);
  }
  TORCH_CHECK(!names.empty(), "layer \"", name, "\": the TorchScript model has no submodules at all (torch::jit::freeze removes "
              "them); save it before freezing");
  TORCH_CHECK(false, "layer \"", name, "\": no such submodule of the TorchScript model; nearest: ", nearest(name, std::move(names)),
              "; sightglass::layers(model, input) lists them all");
}

}  // namespace detail

/// The submodule called `name` of a TorchScript model, parameterless ones included.
///
/// Throws `c10::Error` for an unknown name, with the nearest ones.
inline Layer layer(const torch::jit::Module& model, const std::string& name) {
  return Layer(detail::place_in_script(model, name));
}

}  // namespace sightglass
