#pragma once

#include <optional>
#include <string>

#include "sightglass/weights/detail/find_state.hpp"
#include "sightglass/weights/detail/torch_file.hpp"

namespace sightglass {

/// A whole module of Python, saved in place of its state dict.
struct SavedModule {
  std::string type;  ///< its class, `models.Yolo`; empty where the file does not tell
  std::string key;   ///< under which key a checkpoint has it; empty: it is all that the file holds
};

namespace detail {

/// The class of an object that `is_module`.
inline std::string class_of(const Pickled& value) {
  const Pickled* const of = value.as<PickledObject>()->of;
  const auto* const global = of == nullptr ? nullptr : of->as<PickledGlobal>();
  return global == nullptr ? "" : global->name;
}

}  // namespace detail

/// The whole Python module that a file of `torch.save` holds, without running anything that the file names; no value
/// for weights. Only Python can load such a module, where its class can be imported: `torch.load(path,
/// weights_only=False)`, and then save its `state_dict()` or make TorchScript of it. Throws `c10::Error` with the path
/// for a file that is missing, truncated or damaged, and for one of another kind.
inline std::optional<SavedModule> saved_module(const std::string& path) {
  return detail::naming_file("file", path, [&]() -> std::optional<SavedModule> {
    const detail::TorchFile file(path);
    if (detail::is_module(file.top())) return SavedModule{detail::class_of(file.top()), ""};
    const auto* const checkpoint = file.top().as<detail::PickledDict>();
    if (checkpoint == nullptr) return std::nullopt;
    for (const auto& [key, value] : checkpoint->items)
      if (const auto* const name = key->as<std::string>(); name != nullptr && detail::is_module(*value))
        return SavedModule{detail::class_of(*value), *name};
    return std::nullopt;
  });
}

}  // namespace sightglass
