#pragma once

#include <torch/nn/module.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "sightglass/trace/runnable.hpp"

namespace sightglass::detail {

/// A module that announces its own calls (`Hooked`, `HookPoint`).
class Announcing {
 public:
  virtual ~Announcing() = default;
};

/// Where a layer is found: inside of `owner`, under the address `key`; or by its own marks.
struct Place {
  std::string name;
  std::string type;
  std::weak_ptr<torch::nn::Module> module;
  const void* key = nullptr;
  std::shared_ptr<Runnable> owner;  ///< null where the layer marks itself
  bool leaf = false;                ///< it has no submodules
  std::string problem;              ///< why it cannot be watched, and what to do; empty when it can
  std::string unknown_type = {};    ///< the type that `sightglass::hookable` would have to be told, if that is why
  /// Which of its outputs is meant: a path, or a number; else the first that serves.
  std::optional<std::string> output = {};
  /// Which of its calls in a forward pass is meant, from 0; else the last.
  std::optional<size_t> call = {};

  /// What to do where it cannot be followed; empty where nothing helps.
  std::string remedy() const { return owner == nullptr ? "" : owner->remedy(); }
};

}  // namespace sightglass::detail
