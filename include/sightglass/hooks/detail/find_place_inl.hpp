#pragma once

#include "sightglass/hooks/detail/find_place.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool is_list(const torch::nn::Module& module) {
  return dynamic_cast<const torch::nn::ModuleListImpl*>(&module) != nullptr ||
         dynamic_cast<const torch::nn::ModuleDictImpl*>(&module) != nullptr;
}

SIGHTGLASS_INLINE std::string type_name(const torch::nn::Module& module) {
  return c10::demangle(typeid(module).name());
}

SIGHTGLASS_INLINE std::string name_of(const OnPath& step) {
  return step.path.empty() ? type_name(*step.module) : step.path;
}

SIGHTGLASS_INLINE std::vector<OnPath> path_to(const std::shared_ptr<torch::nn::Module>& root, const std::string& name) {
  std::vector<OnPath> steps{{root, ""}};
  size_t from = 0;
  while (!name.empty() && from <= name.size()) {
    const size_t dot = std::min(name.find('.', from), name.size());
    const std::string child = name.substr(from, dot - from);
    const auto children = steps.back().module->named_children();
    const auto* const found = children.find(child);
    if (found == nullptr) {
      std::vector<std::string> names;
      for (const auto& item : root->named_modules("", false)) names.push_back(item.key());
      TORCH_CHECK(false, "layer \"", name, "\": no such submodule of ", type_name(*root),
                  "; nearest: ", nearest(name, names), "; sightglass::layers(model, input) lists them all");
    }
    size_t index = 0;
    while (children[index].key() != child) ++index;
    steps.push_back({*found, name.substr(0, dot), index});
    from = dot + 1;
  }
  return steps;
}

SIGHTGLASS_INLINE Callable callable_at(const std::vector<OnPath>& path, size_t at) {
  if (auto known = KnownTypes::global().find(*path[at].module)) return known;
  if (is_plain_sequential(*path[at].module)) return callable_of_sequential();
  if (at == 0) return {};
  const auto parent = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(path[at - 1].module);
  return parent == nullptr ? Callable() : callable_of_child(parent, path[at].index);
}

SIGHTGLASS_INLINE std::string type_to_write(const torch::nn::Module& module) {
  std::string type = type_name(module);
  const std::string anonymous = "(anonymous namespace)::";
  for (size_t at = type.find(anonymous); at != std::string::npos; at = type.find(anonymous)) {
    type.erase(at, anonymous.size());
  }
  return type;
}

SIGHTGLASS_INLINE void refuse_type(const torch::nn::Module& module, const std::string& what, Place& place) {
  if (KnownTypes::global().contains(module)) {
    place.problem += "the forward of " + type_name(module) +
                     " cannot be called with one to four tensors alone: make the member a "
                     "sightglass::Hooked<...>, or put a sightglass::HookPoint beside it";
    return;
  }
  place.unknown_type = type_to_write(module);
  place.problem += what + " type " + type_name(module) + " is not one of LibTorch's own: ";
  if (place.key == &module) {
    place.problem += "hook it by its handle, or by sightglass::layer<" + place.unknown_type + ">(model, name), or ";
  }
  place.problem += "call sightglass::hookable<" + place.unknown_type + ">() once";
}

SIGHTGLASS_INLINE const OnPath& child_on(const std::vector<OnPath>& path, size_t at) {
  size_t child = at + 1;
  while (child + 1 < path.size() && is_list(*path[child].module)) ++child;
  return path[child];
}

SIGHTGLASS_INLINE void add_children(const torch::nn::Module& parent, const std::string& prefix,
                                    std::vector<Child>& into) {
  for (const auto& item : parent.named_children()) {
    const std::string name = prefix.empty() ? item.key() : prefix + "." + item.key();
    if (is_list(*item.value())) {
      add_children(*item.value(), name, into);
    } else {
      const Callable known = KnownTypes::global().find(*item.value());
      into.push_back(
          {item.value(), name, known || !is_plain_sequential(*item.value()) ? known : callable_of_sequential()});
    }
  }
}

SIGHTGLASS_INLINE void PlaceFinder::find_readers() {
  const auto root = std::exchange(root_, nullptr);
  if (root == nullptr) return;
  for (const auto& item : root->named_modules("", /*include_self=*/false)) {
    for (const auto& parameter : MembersOf::parameters(*item.value())) {
      if (parameter.value().defined()) readers_[parameter.value().unsafeGetTensorImpl()].push_back(item);
    }
  }
}

SIGHTGLASS_INLINE Place PlaceFinder::find(const std::vector<OnPath>& path) {
  const OnPath& last = path.back();
  const std::string name = name_of(last);
  Place place{name,        type_name(*last.module),
              last.module, last.module.get(),
              nullptr,     MembersOf::children(*last.module).is_empty(),
              "",          ""};
  if (dynamic_cast<const Announcing*>(last.module.get()) != nullptr) return place;
  if (is_list(*last.module)) {
    place.problem = "a ModuleList or ModuleDict has no forward of its own; name one of its elements";
  } else if (!has_state(*last.module)) {
    seek_around(path, place);
  } else if (const auto other = tied_to(path)) {
    place.problem = "its parameters are tied to those of \"" + *other +
                    "\", and nothing tells the two apart; make the member a sightglass::Hooked<...>";
  } else if (is_plain_sequential(*last.module)) {
    place.owner = std::make_shared<SequentialRunnable>(last.module, name);
  } else if (const Callable callable = callable_at(path, path.size() - 1)) {
    place.owner = std::make_shared<ModuleRunnable>(last.module, name, callable);
  } else {
    refuse_type(*last.module, "its", place);
  }
  return place;
}

SIGHTGLASS_INLINE std::optional<std::string> PlaceFinder::tied_to(const std::vector<OnPath>& path) {
  const torch::nn::Module& module = *path.back().module;
  if (!MembersOf::children(module).is_empty()) return std::nullopt;
  find_readers();
  for (const auto& parameter : MembersOf::parameters(module)) {
    if (!parameter.value().defined()) continue;
    const auto readers = readers_.find(parameter.value().unsafeGetTensorImpl());
    if (readers == readers_.end()) continue;
    for (const Named& reader : readers->second) {
      const torch::nn::Module& other = *reader.value();
      if (&other != &module && typeid(other) == typeid(module)) return reader.key();
    }
  }
  return std::nullopt;
}

SIGHTGLASS_INLINE void PlaceFinder::seek_around(const std::vector<OnPath>& path, Place& place) {
  for (size_t at = path.size() - 1; at-- > 0;) {
    const auto& parent = path[at].module;
    if (is_list(*parent)) continue;
    const bool sequential = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(parent) != nullptr;
    if (!has_state(*parent)) {
      if (is_plain_sequential(*parent)) continue;
      break;
    }
    if (sequential) {
      place.owner = block_of(path[at], [&] { return std::make_shared<SequentialRunnable>(parent, name_of(path[at])); });
    } else if (const Callable callable = callable_at(path, at)) {
      const torch::nn::Module& child = *child_on(path, at).module;
      const bool is_sequential = is_plain_sequential(child);
      if (!is_sequential && !KnownTypes::global().find(child)) {
        return refuse_type(child, &child == place.key ? "its" : "\"" + child_on(path, at).path + "\" has none, and its",
                           place);
      }
      if (!is_sequential && &child != place.key) {
        place.problem = "it has no parameters, and \"" + child_on(path, at).path +
                        "\" around it has none either, so that nothing tells when it runs there: make the member a "
                        "sightglass::Hooked<...>, or put a sightglass::HookPoint beside it";
        return;
      }
      place.owner = block_of(path[at], [&] {
        std::vector<Child> children;
        add_children(*parent, path[at].path, children);
        return std::make_shared<BlockRunnable>(parent, name_of(path[at]), callable, children);
      });
    } else {
      place.problem = "it has no parameters, so that it must be found in the block around it, " +
                      (path[at].path.empty() ? "the model itself" : "\"" + path[at].path + "\"") + ", but ";
      refuse_type(*parent, "its", place);
    }
    return;
  }
  place.problem =
      "it has no parameters that would tell when it runs, and no block around it is known: name it from its model, "
      "sightglass::layer(model, name), make the member a sightglass::Hooked<...>, or put a sightglass::HookPoint "
      "beside it";
}

SIGHTGLASS_INLINE std::vector<Place> all_places(const std::shared_ptr<torch::nn::Module>& root) {
  PlaceFinder finder(root);
  std::vector<Place> places;
  std::vector<OnPath> path{{root, ""}};
  const std::function<void()> walk = [&] {
    const OnPath parent = path.back();
    size_t index = 0;
    for (const auto& child : MembersOf::children(*parent.module)) {
      path.push_back({child.value(), parent.path.empty() ? child.key() : parent.path + "." + child.key(), index++});
      places.push_back(finder.find(path));
      walk();
      path.pop_back();
    }
  };
  walk();
  return places;
}

SIGHTGLASS_INLINE Place place_by_name(const std::shared_ptr<torch::nn::Module>& root, const std::string& name) {
  return PlaceFinder(root).find(path_to(root, name));
}

SIGHTGLASS_INLINE Place place_of_module(const std::shared_ptr<torch::nn::Module>& module) {
  TORCH_CHECK(module != nullptr, "layer: got an empty handle");
  return PlaceFinder().find({{module, type_name(*module)}});
}

}  // namespace sightglass::detail
