#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>
#include <torch/arg.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/utils.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/nearest.hpp"
#include "sightglass/weights/state_dict.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// Whether a tensor of another type than the module's is an error, or converted as Python does.
enum class TypeMismatch { refused, converted };

/// Options of `load_state_dict`.
struct LoadOptions {
  TORCH_ARG(Strictness, strictness) = Strictness::strict;
  TORCH_ARG(TypeMismatch, type_mismatch) = TypeMismatch::refused;
  /// Under which key a checkpoint has the state dict; empty: it is looked for, see `read_state_dict`.
  TORCH_ARG(std::string, key);
  /// What the wanted names begin with in the file and not in the module, such as "module."; other names of the file
  /// count as unexpected.
  TORCH_ARG(std::string, prefix);
};

/// Names that did not meet when a state dict was loaded.
struct LoadReport {
  std::vector<std::string> missing;     ///< the module's that the file lacks; their tensors stay as they are
  std::vector<std::string> unexpected;  ///< the file's that the module lacks, and those that are no tensors
};

namespace detail {

/// What is copied where, and what does not meet.
struct LoadPlan {
  std::vector<std::pair<at::Tensor, at::Tensor>> copies;  // the module's tensor, the file's
  std::vector<std::string> complaints;                    // shapes and types
  LoadReport report;
  std::string hint;  // how names that do not meet would
};

/// Batch norm's counter was added in PyTorch 0.4.1; as in Python, a file without any leaves the module's as they are.
bool is_newer_than(const std::string& name, const StateDict& state);

void plan_copy(LoadPlan& plan, const std::string& name, const at::Tensor& into, const at::Tensor& from,
               TypeMismatch mismatch);

LoadPlan plan_load(const StateDict& own, const StateDict& state, const LoadOptions& options);

/// The first few of `names`, each with those of the other side that it may have meant.
std::string listed(const std::vector<std::string>& names, const std::vector<std::string>& others);

/// How many of `names` are in `state` behind `prefix`.
size_t count_behind(const std::string& prefix, const std::vector<std::string>& names, const StateDict& state);

/// What more of `names` have before them in `state` than have `given`, "module." such as; the best ones.
std::vector<std::string> fitting_prefixes(const std::vector<std::string>& names, const StateDict& state,
                                          const std::string& given);

/// What to do where all that keeps names from meeting is how they begin; else nothing.
std::string prefix_hint(const StateDict& own, const StateDict& state, const LoadOptions& options);

void check_plan(const LoadPlan& plan, const LoadOptions& options);

/// Copies into a module's own tensors, by name; see `load_state_dict`.
LoadReport load_into(const StateDict& own, const StateDict& state, const LoadOptions& options);
/// The same from a file.
LoadReport load_into(const StateDict& own, const std::string& path, const LoadOptions& options);

}  // namespace detail

/// Copies tensors into a module's parameters and buffers by name, as Python's `load_state_dict`. All is checked first:
/// when it throws, nothing in the module has changed. Throws `c10::Error` for a shape or type that differs, and, when
/// strict, for missing and unexpected names, with the nearest ones.
LoadReport load_state_dict(const torch::nn::Module& module, const StateDict& state,
                           const LoadOptions& options = LoadOptions());

/// The same from a file, see `read_state_dict`: `load_state_dict(net, "resnet18.pth")`. Throws `c10::Error` with the
/// path, also for all that `read_state_dict` throws for.
LoadReport load_state_dict(const torch::nn::Module& module, const std::string& path,
                           const LoadOptions& options = LoadOptions());

/// The same for the handles that modules are held by.
template <class Contained, class Source>
LoadReport load_state_dict(const torch::nn::ModuleHolder<Contained>& module, const Source& source,
                           const LoadOptions& options = LoadOptions()) {
  return load_state_dict(static_cast<const torch::nn::Module&>(*module), source, options);
}
/// The same for a shared pointer.
template <class Contained, class Source>
LoadReport load_state_dict(const std::shared_ptr<Contained>& module, const Source& source,
                           const LoadOptions& options = LoadOptions()) {
  return load_state_dict(static_cast<const torch::nn::Module&>(*module), source, options);
}

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/load_state_dict_inl.hpp"
#endif
