#pragma once

#include "sightglass/hooks/script_layer.hpp"

#include "sightglass/inline.hpp"
#include "sightglass/trace/nearest.hpp"
#include "sightglass/trace/script/script.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool has_submodules(const torch::jit::Module& module) { return module.children().size() > 0; }

SIGHTGLASS_INLINE Place place_in_script(std::shared_ptr<ScriptModel> owner, const std::string& name,
                                        const torch::jit::Module& module) {
  owner->want(name);
  const auto type = module.type()->name();
  return {
      name, type ? type->name() : "Module", {}, module._ivalue().get(), std::move(owner), !has_submodules(module), "",
      ""};
}

SIGHTGLASS_INLINE Place place_in_script(const torch::jit::Module& model, const std::string& name) {
  const bool is_exported = model.hasattr("exported_batch");
  std::vector<std::string> names;
  std::string of = is_exported ? "exported program, which lacks those that ran no operation" : "TorchScript model";
  for (const auto& item : model.named_modules()) {
    const bool ran = !is_exported || item.value.find_method("forward");
    if (item.name == name && !name.empty()) {
      if (ran) return place_in_script(ScriptModel::of(model), name, item.value);
      of = "exported program that ran: it has its weights, and a module of two names runs under one of them";
    } else if (!item.name.empty() && ran) {
      names.push_back(item.name);
    }
  }
  TORCH_CHECK(!names.empty(), "layer \"", name,
              "\": the TorchScript model has no submodules at all (torch::jit::freeze removes "
              "them); save it before freezing");
  C10_THROW_ERROR(Error, c10::str("layer \"", name, "\": no such submodule of the ", of, "; nearest: ",
                                  nearest(name, names), "; sightglass::layers(model, input) lists them all"));
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE Layer layer(const torch::jit::Module& model, const std::string& name) {
  return Layer(detail::place_in_script(model, name));
}

}  // namespace sightglass
