#pragma once

#include "sightglass/exported/detail/module_tree.hpp"

#include <algorithm>
#include <cctype>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE ModuleTree::ModuleTree(std::map<std::string, std::string> types)
    : unit_(std::make_shared<jit::CompilationUnit>()), types_(std::move(types)) {
  modules_.emplace("", make(""));
}

SIGHTGLASS_INLINE jit::Module ModuleTree::at(const std::string& path) {
  constexpr std::ptrdiff_t deepest = 200;
  const auto found = modules_.find(path);
  if (found != modules_.end()) return found->second;
  TORCH_CHECK(std::count(path.begin(), path.end(), '.') < deepest,
              "is damaged: its modules lie in each other more "
              "than ",
              deepest, " deep");
  const auto [parent, name] = split(path);
  TORCH_CHECK(!name.empty(), "is damaged: it has a module without a name");
  jit::Module around = at(parent);
  jit::Module made = modules_.emplace(path, make(path)).first->second;
  around.register_module(name, made);
  return made;
}

SIGHTGLASS_INLINE void ModuleTree::add(const std::string& name, const at::Tensor& tensor, bool is_parameter) {
  const auto [path, last] = split(name);
  TORCH_CHECK(!last.empty(), "is damaged: it has a tensor without a name");
  if (is_parameter)
    at(path).register_parameter(last, tensor, /*is_buffer=*/false);
  else
    at(path).register_buffer(last, tensor);
}

SIGHTGLASS_INLINE std::string ModuleTree::next_forward(const std::string& path) {
  const size_t number = forwards_[path]++;
  if (number == 0) called_.push_back(path);
  return "forward" + (number == 0 ? "" : std::to_string(number));
}

SIGHTGLASS_INLINE void ModuleTree::add_method(const std::string& path, const std::string& name,
                                              std::shared_ptr<jit::Graph> graph) {
  const c10::ClassTypePtr type = at(path).type();
  type->addMethod(unit_->create_function(c10::QualifiedName(*type->name(), name), std::move(graph)));
}

SIGHTGLASS_INLINE std::pair<std::string, std::string> ModuleTree::split(const std::string& path) {
  const size_t dot = path.rfind('.');
  return dot == std::string::npos ? std::make_pair(std::string(), path)
                                  : std::make_pair(path.substr(0, dot), path.substr(dot + 1));
}

SIGHTGLASS_INLINE bool ModuleTree::lies_in(const std::string& path, const std::string& of) {
  return of.empty() || path == of || (path.size() > of.size() && path[of.size()] == '.' && path.rfind(of, 0) == 0);
}

SIGHTGLASS_INLINE jit::Module ModuleTree::make(const std::string& path) const {
  const auto known = types_.find(path);
  std::string type = "__torch__.";
  for (const char letter : known == types_.end() ? "torch.nn.modules.module.Module" : known->second) {
    const bool fits = std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '_';
    if (fits || (letter == '.' && type.back() != '.')) type += letter;
  }
  while (type.back() == '.') type.pop_back();
  jit::Module made(c10::QualifiedName(type), unit_, /*shouldMangle=*/true);
  made.register_attribute("training", c10::BoolType::get(), false);
  return made;
}

}  // namespace sightglass::detail
