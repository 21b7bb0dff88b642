#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "sightglass/exported/detail/json.hpp"

/// Which module's call each operation of a flat graph belongs to, as `nn_module_stack` tells it.
namespace sightglass::detail {

/// One call of a module.
struct ModuleCall {
  std::string key;   ///< another one for each call: `L__self__layer4.1.relu@1`
  std::string path;  ///< of the module: `layer4.1.relu`
  std::string type;  ///< of Python: `torch.nn.modules.activation.ReLU`
};

/// The calls that an operation lies in, the outermost first, without the model's own.
/// @param modules the paths of all modules: a module that was called by other means than its `forward` is told by its
/// path in the one around it
std::vector<ModuleCall> calls_of(const Json& node, const std::set<std::string>& modules);

/// The operations of one call, in order, and the calls in it. They are the graph's from `begin` to before `end`.
struct CallTree {
  using Item = std::variant<size_t, std::unique_ptr<CallTree>>;

  ModuleCall call;  ///< of the whole graph: empty
  size_t begin = 0, end = 0;
  std::vector<Item> items;
};

/// The calls in a graph's operations. What is told to lie in no call at all (sizes that the export adds), and sizes
/// that a module asks for amid a call of another one, belong to the calls around them.
/// @param are_numbered whether each call has a key of its own, as PyTorch 2.6 and later write them; otherwise calls of
/// one module that follow each other cannot be told apart, and their operations belong to the call around them
CallTree call_tree(const Json& nodes, const std::set<std::string>& modules, bool are_numbered);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/call_tree_inl.hpp"
#endif
