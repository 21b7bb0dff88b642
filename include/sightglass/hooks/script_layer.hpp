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
  torch::jit::Module found;
  bool exists = false;
  for (const auto& item : model.named_modules()) {
    if (item.name.empty()) continue;
    names.push_back(item.name);
    if (item.name != name) continue;
    found = item.value;
    exists = true;
  }
  TORCH_CHECK(!names.empty(), "layer \"", name,
              "\": the TorchScript model has no submodules at all (torch::jit::freeze removes "
              "them); save it before freezing");
  TORCH_CHECK(exists, "layer \"", name,
              "\": no such submodule of the TorchScript model; nearest: ", nearest(name, names),
              "; sightglass::layers(model, input) lists them all");
  auto owner = ScriptModel::of(model);
  owner->want(name);
  const auto type = found.type()->name();
  return {name, type ? type->name() : "Module", {}, found._ivalue().get(), std::move(owner), !has_submodules(found), "",
          ""};
}

}  // namespace detail

/// The submodule called `name` of a TorchScript model, parameterless ones included.
///
/// Throws `c10::Error` for an unknown name, with the nearest ones.
inline Layer layer(const torch::jit::Module& model, const std::string& name) {
  return Layer(detail::place_in_script(model, name));
}

}  // namespace sightglass
