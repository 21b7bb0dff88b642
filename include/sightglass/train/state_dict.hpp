#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/train/state_writer.hpp"
#include "sightglass/train/torch_file.hpp"

namespace sightglass {

/// Names and tensors, in order: `state["conv1.weight"]`, `state.keys()`, `for (const auto& item : state)`.
using StateDict = torch::OrderedDict<std::string, at::Tensor>;

namespace detail {

/// Runs `work`; whatever it throws names the file.
template <class Work>
auto naming_file(const std::string& path, Work&& work) {
  std::string reason;
  try {
    return work();
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  C10_THROW_ERROR(Error, c10::str("state dict \"", path, "\": ", reason));
}

inline const Pickled* find_item(const PickledDict& dict, const std::string& name) {
  for (const auto& [key, value] : dict.items)
    if (key->as<std::string>() != nullptr && *key->as<std::string>() == name) return value;
  return nullptr;
}

inline bool has_tensors(const PickledDict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return item.second->template as<PickledTensor>() != nullptr; });
}

/// Keys as they are shown in messages: the first few.
inline std::string shown_keys(const PickledDict& dict) {
  constexpr size_t shown = 8, longest = 100;
  std::string text;
  for (size_t i = 0; i < std::min(shown, dict.items.size()); ++i) {
    const auto* const key = dict.items[i].first->as<std::string>();
    text += (i == 0 ? "\"" : ", \"") + (key == nullptr ? "?" : key->substr(0, longest)) + "\"";
  }
  return text.empty() ? "none" : text + (dict.items.size() > shown ? ", ..." : "");
}

/// The dict of tensors in what a file holds.
inline const PickledDict& find_state(const Pickled& top, const std::string& key) {
  const auto* const dict = top.as<PickledDict>();
  TORCH_CHECK(dict != nullptr, "holds ", top.describe(),
              ", expected a dict of tensors; in Python: torch.save(model.state_dict(), path)");
  if (key.empty() && (has_tensors(*dict) || dict->items.empty())) return *dict;
  const std::vector<std::string> usual{"state_dict", "model_state_dict", "model"};
  for (const std::string& each : key.empty() ? usual : std::vector<std::string>{key}) {
    const Pickled* const found = find_item(*dict, each);
    if (found == nullptr) continue;
    TORCH_CHECK(found->as<PickledDict>() != nullptr, "holds ", found->describe(), " under \"", each,
                "\", expected a dict of tensors; in Python: torch.save(model.state_dict(), path)");
    return *found->as<PickledDict>();
  }
  const std::string where = key.empty() ? std::string("a usual key") : "\"" + key + "\"";
  C10_THROW_ERROR(Error, c10::str("has no state dict under ", where, "; its keys: ", shown_keys(*dict),
                                  "; name one with the option key"));
}

inline StateDict read_state(TorchFile& file, const std::string& key) {
  StateDict state;
  for (const auto& [name, value] : find_state(file.top(), key).items) {
    const auto* const text = name->as<std::string>();
    TORCH_CHECK(text != nullptr, "has ", name->describe(), " for a name, expected a str");
    const auto* const tensor = value->as<PickledTensor>();
    TORCH_CHECK(tensor != nullptr, "entry \"", text->substr(0, 200), "\" is ", value->describe(),
                ", expected a tensor; leave it out when saving");
    TORCH_CHECK(!state.contains(*text), "has \"", text->substr(0, 200), "\" twice");
    state.insert(*text, file.tensor(*tensor));
  }
  return state;
}

inline void add_state(const torch::nn::Module& module, const std::string& prefix, StateDict& state) {
  for (const auto& item : module.named_parameters(/*recurse=*/false)) state.insert(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    if (item.value().defined()) state.insert(prefix + item.key(), item.value());
  for (const auto& child : module.named_children()) add_state(*child.value(), prefix + child.key() + ".", state);
}

}  // namespace detail

/// A module's parameters and buffers by name, in Python's order. They share the module's memory.
inline StateDict state_dict(const torch::nn::Module& module) {
  StateDict state;
  detail::add_state(module, "", state);
  return state;
}

/// Reads what Python's `torch.save(model.state_dict(), path)` wrote, in the zip format or the one before PyTorch 1.6,
/// without running anything that the file may name. CPU tensors, in the file's order.
///
/// `key`: under which key a checkpoint has the state dict; empty: the file is one itself, or has it under "state_dict",
/// "model_state_dict" or "model". Other things in a checkpoint are read past.
/// @throws c10::Error with the path and the reason for a file that is missing, truncated, damaged or something else.
inline StateDict read_state_dict(const std::string& path, const std::string& key = "") {
  return detail::naming_file(path, [&] {
    detail::TorchFile file(path);
    return detail::read_state(file, key);
  });
}

/// Writes a file that Python reads by `torch.load(path, weights_only=True)`, and `read_state_dict`. It appears whole or
/// not at all; one of that name is replaced.
/// @throws c10::Error when it cannot be written, for an undefined tensor and for types that Python's storages lack.
inline void save_state_dict(const StateDict& state, const std::string& path) {
  detail::naming_file(path, [&] { detail::write_state_file(state, path); });
}
inline void save_state_dict(const torch::nn::Module& module, const std::string& path) {
  save_state_dict(state_dict(module), path);
}
template <class Contained>
void save_state_dict(const torch::nn::ModuleHolder<Contained>& module, const std::string& path) {
  save_state_dict(state_dict(*module), path);
}

}  // namespace sightglass
