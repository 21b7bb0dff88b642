#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sightglass/exported/detail/json.hpp"
#include "sightglass/exported/detail/module_tree.hpp"

namespace sightglass::detail {

/// A tensor of the program that is no input of the user's.
struct ProgramState {
  std::string name;     ///< `layer1.0.conv1.weight`
  at::Tensor constant;  ///< one that has no place of its own: wherever it is read, the module there has it
};

/// What a program writes when its operations are done, as those without side effects do it.
struct Written {
  std::set<std::string> values;  ///< those that are made for it alone
  std::set<std::string> state;   ///< the buffers and parameters that take them
};

/// What all graphs of a program share.
struct ProgramParts {
  std::set<std::string> modules;  ///< the paths of all
  ModuleTree tree;
  std::map<std::string, ProgramState> state;  ///< by the name of the graph's input
  std::string version;                        ///< of the PyTorch that wrote the file
  Written written;
  std::map<std::string, std::vector<std::string>> gives;  ///< what calls give, in order, as far as the file tells it
  bool calls_are_numbered = true;                         ///< see `call_tree`
  bool gradients_are_told = true;                         ///< which parameters need one; else all do
};

/// Of a program of whatever version that is known; throws for others. `state` is empty yet.
ProgramParts parts_of(const Json& program);

/// The buffer or parameter that an output's specification of this kind writes.
std::string written_name(const std::string& kind, const Json& spec);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/program_parts_inl.hpp"
#endif
