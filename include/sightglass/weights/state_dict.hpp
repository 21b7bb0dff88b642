#pragma once

#include <exception>
#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/weights/detail/find_state.hpp"
#include "sightglass/weights/detail/state_writer.hpp"
#include "sightglass/weights/detail/torch_file.hpp"

namespace sightglass {

/// Names and tensors, in order: `state["conv1.weight"]`, `state.keys()`, `for (const auto& item : state)`.
using StateDict = torch::OrderedDict<std::string, at::Tensor>;

/// Whether what does not meet is an error: names that only the module or only the file has, entries that are no
/// tensors.
enum class Strictness { strict, lenient };

namespace detail {

/// What a file holds under a state dict's names.
struct FileState {
  StateDict tensors;
  std::vector<std::string> left_out;  // names of what is no tensor
};

void check_entry(const std::string& name, const Pickled& value, Strictness strictness);

FileState read_state(TorchFile& file, const std::string& key, Strictness strictness);

FileState read_state(const std::string& path, const std::string& key, Strictness strictness);

void add_state(const torch::nn::Module& module, const std::string& prefix, StateDict& state);

}  // namespace detail

/// A module's parameters and buffers by name, in Python's order. They share the module's memory.
StateDict state_dict(const torch::nn::Module& module);

/// Reads what Python's `torch.save(model.state_dict(), path)` wrote, in the zip format or the one before PyTorch 1.6,
/// without running anything that the file may name. CPU tensors, in the file's order.
///
/// `key`: under which key a checkpoint has the state dict, "model", or "model.state_dict" for one in another. Empty: it
/// is the dict under a usual key ("state_dict", "model_state_dict", "model", "net", "params", "ema", ...), or else the
/// file itself. Other things in a checkpoint are read past. Entries that are no tensors (`_extra_state`) are an error,
/// or left out when lenient. Throws `c10::Error` with the path and the reason for a file that is missing, truncated or
/// damaged; for several state dicts, with their keys; and for a file of another kind (safetensors, ONNX, TorchScript,
/// ...), with what it is.
StateDict read_state_dict(const std::string& path, const std::string& key = "",
                          Strictness strictness = Strictness::strict);

/// Writes a file that Python reads by `torch.load(path, weights_only=True)`, and `read_state_dict`. It appears whole or
/// not at all; one of that name is replaced. Throws `c10::Error` where it cannot be written, for an undefined tensor
/// and for types that Python's storages lack.
void save_state_dict(const StateDict& state, const std::string& path);
/// The same for a module's own state dict.
void save_state_dict(const torch::nn::Module& module, const std::string& path);
/// The same for a handle.
template <class Contained>
void save_state_dict(const torch::nn::ModuleHolder<Contained>& module, const std::string& path) {
  save_state_dict(state_dict(*module), path);
}

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/state_dict_inl.hpp"
#endif
