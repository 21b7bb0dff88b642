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
  /// Under which key a checkpoint has the state dict; empty: it is sought, see `read_state_dict`.
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

/// Batch norm's counter came with PyTorch 0.4.1; as in Python, a file without any leaves the module's as they are.
inline bool is_newer_than(const std::string& name, const StateDict& state) {
  static const std::string counter = "num_batches_tracked";
  if (!ends_with(name, counter)) return false;
  const std::vector<std::string> names = state.keys();
  return std::none_of(names.begin(), names.end(), [](const std::string& each) { return ends_with(each, counter); });
}

inline void plan_copy(LoadPlan& plan, const std::string& name, const at::Tensor& into, const at::Tensor& from,
                      TypeMismatch mismatch) {
  if (into.sizes() != from.sizes())
    plan.complaints.push_back(c10::str("\"", name, "\" has shape ", from.sizes(), ", expected ", into.sizes()));
  else if (into.scalar_type() != from.scalar_type() && mismatch == TypeMismatch::refused)
    plan.complaints.push_back(c10::str("\"", name, "\" is of type ", from.scalar_type(), ", expected ",
                                       into.scalar_type(), " (or the option TypeMismatch::converted)"));
  else
    plan.copies.emplace_back(into, from);
}

inline LoadPlan plan_load(const StateDict& own, const StateDict& state, const LoadOptions& options) {
  LoadPlan plan;
  const std::string& prefix = options.prefix();
  for (const auto& item : own) {
    const at::Tensor* const from = state.find(prefix + item.key());
    if (from != nullptr)
      plan_copy(plan, item.key(), item.value(), *from, options.type_mismatch());
    else if (!is_newer_than(item.key(), state))
      plan.report.missing.push_back(item.key());
  }
  for (const auto& item : state) {
    const bool named = item.key().compare(0, prefix.size(), prefix) == 0;
    if (!named || !own.contains(item.key().substr(prefix.size()))) plan.report.unexpected.push_back(item.key());
  }
  return plan;
}

/// The first few of `names`, each with those of the other side that it may have meant.
inline std::string listed(const std::vector<std::string>& names, const std::vector<std::string>& others) {
  constexpr size_t shown = 5, longest = 200;
  std::vector<std::string> short_ones;
  for (const std::string& other : others)
    if (other.size() <= longest) short_ones.push_back(other);
  std::string text;
  for (size_t i = 0; i < std::min(shown, names.size()); ++i) {
    const std::string name = names[i].substr(0, longest);
    text += c10::str(i == 0 ? "" : "; ", "\"", name, "\"");
    if (!short_ones.empty()) text += " (nearest: " + nearest(name, short_ones) + ")";
  }
  return names.size() <= shown ? text : text + c10::str("; and ", names.size() - shown, " more");
}

/// How many of `names` are in `state` behind `prefix`.
inline size_t count_behind(const std::string& prefix, const std::vector<std::string>& names, const StateDict& state) {
  return static_cast<size_t>(std::count_if(names.begin(), names.end(),
                                           [&](const std::string& name) { return state.contains(prefix + name); }));
}

/// What more of `names` have before them in `state` than have `given`, "module." such as; the best ones.
inline std::vector<std::string> fitting_prefixes(const std::vector<std::string>& names, const StateDict& state,
                                                 const std::string& given) {
  constexpr size_t most_tried = 32;
  std::vector<std::string> tried{given}, best;
  size_t most = names.empty() ? 0 : count_behind(given, names, state);
  for (const auto& item : state) {
    if (names.empty() || tried.size() > most_tried) break;
    if (!ends_with(item.key(), "." + names.front())) continue;
    const std::string prefix = item.key().substr(0, item.key().size() - names.front().size());
    if (std::find(tried.begin(), tried.end(), prefix) != tried.end()) continue;
    tried.push_back(prefix);
    const size_t count = count_behind(prefix, names, state);
    if (count > most) best.clear();
    if (count > most || (count == most && !best.empty())) best.push_back(prefix);
    most = std::max(most, count);
  }
  return best;
}

/// What to do where all that keeps names from meeting is how they begin; else nothing.
inline std::string prefix_hint(const StateDict& own, const StateDict& state, const LoadOptions& options) {
  std::string text;
  for (const std::string& prefix : fitting_prefixes(own.keys(), state, options.prefix()))
    text += c10::str(text.empty() ? "; " : ", or ", count_behind(prefix, own.keys(), state), " of ", own.size(),
                     " names are in the file behind \"", prefix, "\": LoadOptions().prefix(\"", prefix, "\")");
  if (!text.empty()) return text;
  for (const std::string& prefix : fitting_prefixes(state.keys(), own, ""))
    return "; the file's names are the module's behind \"" + prefix + "\": load it into that part of the module, " +
           "named_modules()[\"" + prefix.substr(0, prefix.size() - 1) + "\"]";
  return text;
}

inline void check_plan(const LoadPlan& plan, const LoadOptions& options) {
  constexpr size_t shown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(shown, plan.complaints.size()); ++i)
    text += (i == 0 ? "" : "; ") + plan.complaints[i];
  if (plan.complaints.size() > shown) text += c10::str("; and ", plan.complaints.size() - shown, " more");
  if (options.strictness() == Strictness::strict) {
    const LoadReport& report = plan.report;
    if (!report.missing.empty())
      text += c10::str(text.empty() ? "" : "; ", "missing in the file: ", listed(report.missing, report.unexpected));
    if (!report.unexpected.empty())
      text += c10::str(text.empty() ? "" : "; ", "not in the module: ", listed(report.unexpected, report.missing));
  }
  TORCH_CHECK(text.empty(), text, "; nothing was loaded",
              plan.complaints.empty() ? "; Strictness::lenient takes what meets" : "", plan.hint);
}

}  // namespace detail

/// Copies tensors into a module's parameters and buffers by name, as Python's `load_state_dict`. All is checked first:
/// when it throws, nothing in the module has changed.
/// @throws c10::Error for a shape or type that differs, and, when strict, for missing and unexpected names, with the
/// nearest ones.
inline LoadReport load_state_dict(const torch::nn::Module& module, const StateDict& state,
                                  const LoadOptions& options = LoadOptions()) {
  const StateDict own = state_dict(module);
  detail::LoadPlan plan = detail::plan_load(own, state, options);
  if (!plan.report.missing.empty()) plan.hint = detail::prefix_hint(own, state, options);
  detail::check_plan(plan, options);
  const detail::NoGraph no_graph;
  for (const auto& [into, from] : plan.copies) into.copy_(from);
  return plan.report;
}

/// The same from a file, see `read_state_dict`: `load_state_dict(net, "resnet18.pth")`.
/// @throws c10::Error with the path, also for all that `read_state_dict` throws for.
inline LoadReport load_state_dict(const torch::nn::Module& module, const std::string& path,
                                  const LoadOptions& options = LoadOptions()) {
  const detail::FileState state = detail::read_state(path, options.key(), options.strictness());
  LoadReport report =
      detail::naming_file("state dict", path, [&] { return load_state_dict(module, state.tensors, options); });
  report.unexpected.insert(report.unexpected.end(), state.left_out.begin(), state.left_out.end());
  return report;
}

/// The same for the handles that modules are held by.
template <class Contained, class Source>
LoadReport load_state_dict(const torch::nn::ModuleHolder<Contained>& module, const Source& source,
                           const LoadOptions& options = LoadOptions()) {
  return load_state_dict(static_cast<const torch::nn::Module&>(*module), source, options);
}
template <class Contained, class Source>
LoadReport load_state_dict(const std::shared_ptr<Contained>& module, const Source& source,
                           const LoadOptions& options = LoadOptions()) {
  return load_state_dict(static_cast<const torch::nn::Module&>(*module), source, options);
}

}  // namespace sightglass
