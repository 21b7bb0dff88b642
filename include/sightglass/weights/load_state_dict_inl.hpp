#pragma once

#include "sightglass/weights/load_state_dict.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool is_newer_than(const std::string& name, const StateDict& state) {
  static const std::string counter = "num_batches_tracked";
  if (!ends_with(name, counter)) return false;
  const std::vector<std::string> names = state.keys();
  return std::none_of(names.begin(), names.end(), [](const std::string& each) { return ends_with(each, counter); });
}

SIGHTGLASS_INLINE void plan_copy(LoadPlan& plan, const std::string& name, const at::Tensor& into,
                                 const at::Tensor& from, TypeMismatch mismatch) {
  if (into.sizes() != from.sizes())
    plan.complaints.push_back(c10::str("\"", name, "\" has shape ", from.sizes(), ", expected ", into.sizes()));
  else if (into.scalar_type() != from.scalar_type() && mismatch == TypeMismatch::refused)
    plan.complaints.push_back(c10::str("\"", name, "\" is of type ", from.scalar_type(), ", expected ",
                                       into.scalar_type(), " (or the option TypeMismatch::converted)"));
  else
    plan.copies.emplace_back(into, from);
}

SIGHTGLASS_INLINE LoadPlan plan_load(const StateDict& own, const StateDict& state, const LoadOptions& options) {
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

SIGHTGLASS_INLINE std::string listed(const std::vector<std::string>& names, const std::vector<std::string>& others) {
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

SIGHTGLASS_INLINE size_t count_behind(const std::string& prefix, const std::vector<std::string>& names,
                                      const StateDict& state) {
  return static_cast<size_t>(std::count_if(names.begin(), names.end(),
                                           [&](const std::string& name) { return state.contains(prefix + name); }));
}

SIGHTGLASS_INLINE std::vector<std::string> fitting_prefixes(const std::vector<std::string>& names,
                                                            const StateDict& state, const std::string& given) {
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

SIGHTGLASS_INLINE std::string prefix_hint(const StateDict& own, const StateDict& state, const LoadOptions& options) {
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

SIGHTGLASS_INLINE void check_plan(const LoadPlan& plan, const LoadOptions& options) {
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

SIGHTGLASS_INLINE LoadReport load_into(const StateDict& own, const StateDict& state, const LoadOptions& options) {
  LoadPlan plan = plan_load(own, state, options);
  if (!plan.report.missing.empty()) plan.hint = prefix_hint(own, state, options);
  check_plan(plan, options);
  const NoGraph no_graph;
  for (const auto& [into, from] : plan.copies) into.copy_(from);
  return plan.report;
}

SIGHTGLASS_INLINE LoadReport load_into(const StateDict& own, const std::string& path, const LoadOptions& options) {
  const FileState state = read_state(path, options.key(), options.strictness());
  LoadReport report = naming_file("state dict", path, [&] { return load_into(own, state.tensors, options); });
  report.unexpected.insert(report.unexpected.end(), state.left_out.begin(), state.left_out.end());
  return report;
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE LoadReport load_state_dict(const torch::nn::Module& module, const StateDict& state,
                                             const LoadOptions& options) {
  return detail::load_into(state_dict(module), state, options);
}

SIGHTGLASS_INLINE LoadReport load_state_dict(const torch::nn::Module& module, const std::string& path,
                                             const LoadOptions& options) {
  return detail::load_into(state_dict(module), path, options);
}

}  // namespace sightglass
