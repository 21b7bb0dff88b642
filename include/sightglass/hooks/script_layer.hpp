#pragma once

#include <torch/csrc/jit/api/module.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/hooks/layer.hpp"

namespace sightglass {

namespace detail {

class ScriptModel;

bool has_submodules(const torch::jit::Module& module);

/// The place of `module`, called `name` in the model that `owner` watches.
Place place_in_script(std::shared_ptr<ScriptModel> owner, const std::string& name, const torch::jit::Module& module);

Place place_in_script(const torch::jit::Module& model, const std::string& name);

}  // namespace detail

/// The submodule called `name` of a TorchScript model, parameterless ones included.
///
/// Throws `c10::Error` for an unknown name, with the nearest ones.
Layer layer(const torch::jit::Module& model, const std::string& name);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/hooks/script_layer_inl.hpp"
#endif
