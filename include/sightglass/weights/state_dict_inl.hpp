#pragma once

#include "sightglass/weights/state_dict.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void check_entry(const std::string& name, const Pickled& value, Strictness strictness) {
  if (strictness == Strictness::lenient || value.as<PickledTensor>() != nullptr) return;
  const char* const why = is_extra_state(name)
                              ? ": a Python module's get_extra_state made it, and no C++ module takes it"
                              : "; leave it out when saving";
  C10_THROW_ERROR(Error, c10::str("entry \"", name.substr(0, 200), "\" is ", value.describe(), ", expected a tensor",
                                  why, "; Strictness::lenient leaves it out"));
}

SIGHTGLASS_INLINE FileState read_state(TorchFile& file, const std::string& key, Strictness strictness) {
  FileState state;
  for (const auto& [name, value] : find_state(file.top(), key).items) {
    const auto* const text = name->as<std::string>();
    TORCH_CHECK(text != nullptr, "has ", name->describe(), " for a name, expected a str");
    TORCH_CHECK(!state.tensors.contains(*text), "has \"", text->substr(0, 200), "\" twice");
    check_entry(*text, *value, strictness);
    if (const auto* const tensor = value->as<PickledTensor>())
      state.tensors.insert(*text, file.tensor(*tensor));
    else
      state.left_out.push_back(*text);
  }
  return state;
}

SIGHTGLASS_INLINE FileState read_state(const std::string& path, const std::string& key, Strictness strictness) {
  return naming_file("state dict", path, [&] {
    TorchFile file(path);
    return read_state(file, key, strictness);
  });
}

SIGHTGLASS_INLINE void add_state(const torch::nn::Module& module, const std::string& prefix, StateDict& state) {
  for (const auto& item : module.named_parameters(/*recurse=*/false)) state.insert(prefix + item.key(), item.value());
  for (const auto& item : module.named_buffers(/*recurse=*/false))
    if (item.value().defined()) state.insert(prefix + item.key(), item.value());
  for (const auto& child : module.named_children()) add_state(*child.value(), prefix + child.key() + ".", state);
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE StateDict state_dict(const torch::nn::Module& module) {
  StateDict state;
  detail::add_state(module, "", state);
  return state;
}

SIGHTGLASS_INLINE StateDict read_state_dict(const std::string& path, const std::string& key, Strictness strictness) {
  return detail::read_state(path, key, strictness).tensors;
}

SIGHTGLASS_INLINE void save_state_dict(const StateDict& state, const std::string& path) {
  detail::naming_file("state dict", path, [&] { detail::write_state_file(state, path); });
}

SIGHTGLASS_INLINE void save_state_dict(const torch::nn::Module& module, const std::string& path) {
  save_state_dict(state_dict(module), path);
}

}  // namespace sightglass
