#pragma once

#include <torch/csrc/jit/api/module.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace sightglass::detail {

namespace jit = torch::jit;

/// The modules of a program as they lie in each other, each an object of a type of its own.
class ModuleTree {
 public:
  /// @param types Python's name of the class, by path; others are plain modules
  explicit ModuleTree(std::map<std::string, std::string> types);

  /// The module called `path`, made where there is none; empty: the model.
  jit::Module at(const std::string& path);

  /// Gives the module that `name` lies in a tensor under the name's last part.
  void add(const std::string& name, const at::Tensor& tensor, bool is_parameter);

  /// The next unused name of a method: `forward`, `forward1`, ...
  std::string next_forward(const std::string& path);

  /// Adds a method to the module called `path`.
  void add_method(const std::string& path, const std::string& name, std::shared_ptr<jit::Graph> graph);

  /// `layer4.1` and `conv1`.
  static std::pair<std::string, std::string> split(const std::string& path);

  /// Whether `path` is `of`, or lies in it.
  static bool lies_in(const std::string& path, const std::string& of);

  /// Paths of the modules that have a `forward`, in the order in which they were given it.
  const std::vector<std::string>& called() const { return called_; }

 private:
  jit::Module make(const std::string& path) const;

  std::shared_ptr<jit::CompilationUnit> unit_;
  std::map<std::string, std::string> types_;
  std::map<std::string, jit::Module> modules_;
  std::map<std::string, size_t> forwards_;
  std::vector<std::string> called_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/module_tree_inl.hpp"
#endif
