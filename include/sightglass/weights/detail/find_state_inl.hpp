#pragma once

#include "sightglass/weights/detail/find_state.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE const Pickled* find_item(const PickledDict& dict, const std::string& name) {
  for (const auto& [key, value] : dict.items)
    if (key->as<std::string>() != nullptr && *key->as<std::string>() == name) return value;
  return nullptr;
}

SIGHTGLASS_INLINE bool is_usual_key(const std::string& key) {
  static constexpr std::array<const char*, 25> keys{"state_dict",
                                                    "model_state_dict",
                                                    "model_state",
                                                    "model_weights",
                                                    "model_dict",
                                                    "model",
                                                    "net",
                                                    "net_dict",
                                                    "net_state_dict",
                                                    "network",
                                                    "module",
                                                    "weights",
                                                    "params",
                                                    "state",
                                                    "ema",
                                                    "ema_model",
                                                    "ema_state_dict",
                                                    "ema_weights",
                                                    "ema_params",
                                                    "model_ema",
                                                    "params_ema",
                                                    "state_dict_ema",
                                                    "swa_state_dict",
                                                    "model_swa",
                                                    "model_ema_state_dict"};
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

SIGHTGLASS_INLINE bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

SIGHTGLASS_INLINE bool is_extra_state(const std::string& name) {
  return name == "_extra_state" || ends_with(name, "._extra_state");
}

SIGHTGLASS_INLINE bool has_tensors(const PickledDict& dict) {
  return std::any_of(dict.items.begin(), dict.items.end(),
                     [](const auto& item) { return item.second->template as<PickledTensor>() != nullptr; });
}

SIGHTGLASS_INLINE std::string shown_keys(const std::vector<std::string>& keys) {
  constexpr size_t shown = 8, longest = 100;
  std::string text;
  for (size_t i = 0; i < std::min(shown, keys.size()); ++i)
    text += (i == 0 ? "\"" : ", \"") + keys[i].substr(0, longest) + "\"";
  return text.empty() ? "none" : text + (keys.size() > shown ? ", ..." : "");
}

SIGHTGLASS_INLINE std::string shown_keys(const PickledDict& dict) {
  std::vector<std::string> keys;
  for (const auto& item : dict.items) {
    const auto* const key = item.first->as<std::string>();
    keys.push_back(key == nullptr ? "?" : *key);
  }
  return shown_keys(keys);
}

SIGHTGLASS_INLINE StateCandidates::StateCandidates(const PickledDict& top) : seen_{&top} { look_in(top, "", 0); }

SIGHTGLASS_INLINE std::string StateCandidates::shown(const std::vector<Found>& found) {
  std::vector<std::string> keys;
  for (const Found& each : found) keys.push_back(each.first);
  return shown_keys(keys);
}

SIGHTGLASS_INLINE void StateCandidates::look_in(const PickledDict& dict, const std::string& before, int depth) {
  constexpr int deepest = 3;
  for (const auto& [key, value] : dict.items) {
    const auto* const name = key->as<std::string>();
    const auto* const held = value->as<PickledDict>();
    if (name == nullptr || held == nullptr || !is_usual_key(*name) || !seen_.insert(held).second) continue;
    if (has_tensors(*held))
      usual_.emplace_back(before + *name, held);
    else if (depth < deepest)
      look_in(*held, before + *name + ".", depth + 1);
  }
  for (const auto& [key, value] : dict.items) {
    const auto* const name = key->as<std::string>();
    const auto* const held = value->as<PickledDict>();
    if (name == nullptr || held == nullptr || is_usual_key(*name) || is_extra_state(*name)) continue;
    if (has_tensors(*held) && seen_.insert(held).second) others_.emplace_back(before + *name, held);
  }
}

SIGHTGLASS_INLINE const Pickled* find_path(const PickledDict& dict, const std::string& key) {
  if (const Pickled* const found = find_item(dict, key)) return found;
  for (size_t dot = key.find('.'); dot != std::string::npos; dot = key.find('.', dot + 1)) {
    const Pickled* const head = find_item(dict, key.substr(0, dot));
    const auto* const held = head == nullptr ? nullptr : head->as<PickledDict>();
    if (held != nullptr) return find_path(*held, key.substr(dot + 1));
  }
  return nullptr;
}

SIGHTGLASS_INLINE bool is_module(const Pickled& value) {
  const auto* const object = value.as<PickledObject>();
  const auto* const state = object == nullptr || object->state == nullptr ? nullptr : object->state->as<PickledDict>();
  return state != nullptr && find_item(*state, "_modules") != nullptr;
}

SIGHTGLASS_INLINE void check_no_module(const Pickled& value, std::string_view code) {
  TORCH_CHECK(!is_module(value), "holds a whole module, ", value.describe(),
              ", where a state dict is expected; in Python, where that class can be imported: "
              "torch.save(torch.load(\"old.pt\", weights_only=False)",
              code, ".state_dict(), \"new.pth\")");
}

SIGHTGLASS_INLINE const PickledDict& dict_of(const Pickled& value, std::string_view where, std::string_view code) {
  check_no_module(value, code);
  TORCH_CHECK(value.as<PickledDict>() != nullptr, "holds ", value.describe(), where,
              ", expected a dict of tensors; in Python: torch.save(model.state_dict(), path)");
  return *value.as<PickledDict>();
}

SIGHTGLASS_INLINE const PickledDict& choose_state(const PickledDict& dict) {
  const StateCandidates candidates(dict);
  const auto &usual = candidates.usual(), &others = candidates.others();
  TORCH_CHECK(usual.size() <= 1, "has several state dicts, under ", StateCandidates::shown(usual),
              "; name the one that is wanted: LoadOptions().key(\"", usual.back().first, "\")");
  if (usual.size() == 1) return *usual.front().second;
  const bool tensors = has_tensors(dict);
  TORCH_CHECK(!tensors || others.empty(), "has tensors beside a dict of tensors under ", StateCandidates::shown(others),
              ", so that it can be a checkpoint or a state dict; if it is the former: LoadOptions().key(\"",
              others.front().first, "\")");
  if (tensors || dict.items.empty()) return dict;
  TORCH_CHECK(others.empty(), "has no state dict under a usual key, but dicts of tensors under ",
              StateCandidates::shown(others), "; name the one that is wanted: LoadOptions().key(\"",
              others.front().first, "\"); its keys: ", shown_keys(dict));
  for (const auto& [key, value] : dict.items)
    if (const auto* const name = key->as<std::string>()) check_no_module(*value, "[\"" + *name + "\"]");
  C10_THROW_ERROR(Error, c10::str("holds no dict of tensors; its keys: ", shown_keys(dict),
                                  "; in Python: torch.save(model.state_dict(), path)"));
}

SIGHTGLASS_INLINE const PickledDict& find_state(const Pickled& top, const std::string& key) {
  const PickledDict& dict = dict_of(top, "", "");
  if (key.empty()) return choose_state(dict);
  const Pickled* const found = find_path(dict, key);
  const StateCandidates candidates(dict);
  const auto& sought = candidates.usual().empty() ? candidates.others() : candidates.usual();
  TORCH_CHECK(found != nullptr, "has no state dict under \"", key, "\"; its keys: ", shown_keys(dict),
              sought.empty() ? "" : "; LoadOptions().key(\"" + sought.front().first + "\") would do");
  const PickledDict& held = dict_of(*found, " under \"" + key + "\"", "[\"" + key + "\"]");
  return has_tensors(held) ? held : choose_state(held);
}

}  // namespace sightglass::detail
