#pragma once

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/structure.hpp"
#include "sightglass/trace/tensors.hpp"

/// Marks in a copy of a TorchScript graph: where a submodule's calls begin and end.
namespace sightglass::detail {

namespace jit = torch::jit;

/// What a mark does: announces the tensors in the value on the stack, and puts back what takes their places.
void run_mark(Stack& stack);

/// `sightglass::mark(t(a) x, int place, int side) -> t(a)`: an identity that announces what passes through it.
inline c10::Symbol mark_symbol() {
  static const bool registered = [] {
    jit::registerOperator(jit::Operator(
        "sightglass::mark(t(a) x, int place, int side) -> t(a)", [](Stack& stack) { run_mark(stack); },
        c10::AliasAnalysisKind::FROM_SCHEMA));
    return true;
  }();
  static_cast<void>(registered);
  return c10::Symbol::fromQualString("sightglass::mark");
}

/// Marks `value` at the graph's insertion point; returns what goes on from there.
jit::Value* insert_mark(jit::Graph& graph, jit::Value* value, const void* place, Side side);

/// The functions and methods that a block's operations call, those in inner blocks too.
std::vector<torch::jit::Function*> called_by(const jit::Block& block);

/// `forward`, its overloads `forward__0`, and what a trace calls the second and later calls: `forward1`, `forward2`.
bool is_forward(const std::string& method);

/// Puts marks around the calls of chosen submodules, inlining only what lies on the way to them.
///
/// A module's calls are those of its `forward` in the model's, under whatever name; where there is none, its parent's
/// calls of its other methods.
class Marker {
 public:
  explicit Marker(const std::set<std::string>& paths) : paths_(paths) {}

  std::shared_ptr<jit::Graph> mark(const jit::Module& module);

 private:
  struct Submodule {
    std::string path;
    jit::Module module;
  };
  /// The objects that one graph's values are known to be.
  using Objects = std::map<const jit::Value*, Submodule>;

  bool is_wanted(const std::string& path) const { return paths_.count(path) != 0; }
  bool leads_to_wanted(const std::string& path) const;
  bool is_call(const std::string& path, const std::string& method) const;

  std::shared_ptr<jit::Graph> marked_method(const jit::Module& module, const std::string& path,
                                            const std::string& method);

  void mark_block(jit::Block& block, Objects& objects, const std::string& self);

  static void follow_attribute(const jit::Node& node, Objects& objects);

  /// A call of `self`'s own methods is no call of the place: it is on the way already.
  void mark_call(jit::Node& call, const Objects& objects, const std::string& self);

  /// All inputs pass through one mark: a single one as it is, several as a tuple. Where there are none (a trace keeps
  /// nothing for a layer that passes its input through), nothing does.
  void mark_inputs(jit::Node& call, const void* place);

  void mark_value(jit::Value* value, const void* place, Side side, jit::Node& before);

  static jit::Value* mark_before(jit::Node& node, jit::Value* value, const void* place, Side side);

  const std::set<std::string>& paths_;
  std::set<std::string> called_;         ///< places of which a call of `forward` was found
  std::set<std::string> by_any_method_;  ///< those of which none was
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/script_marks_inl.hpp"
#endif
