#pragma once

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/runtime/interpreter.h>
#include <torch/csrc/jit/runtime/operator.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/tensors.hpp"

/// TorchScript models: marks in a copy of the graph. The user's module is not changed.
///
/// PyTorch calls TorchScript deprecated since 2.11; all of it is here, so that another loader can stand beside it.
namespace sightglass::detail {

namespace jit = torch::jit;

/// `sightglass::mark(t(a) x, int place, int side) -> t(a)`: an identity that announces what passes through it.
inline c10::Symbol mark_symbol() {
  static const bool registered = [] {
    jit::registerOperator(jit::Operator(
        "sightglass::mark(t(a) x, int place, int side) -> t(a)",
        [](Stack& stack) {
          const int64_t side = jit::pop(stack).toInt();
          const int64_t place = jit::pop(stack).toInt();
          if (state().listener == nullptr) return;
          c10::IValue& value = stack.back();
          std::vector<at::Tensor> tensors;
          for_each_tensor(value, [&](const at::Tensor& tensor) { tensors.push_back(tensor); });
          const std::vector<at::Tensor> before = tensors;
          announce(reinterpret_cast<const void*>(place), static_cast<Side>(side), tensors);
          size_t index = 0;
          change_tensors(value, [&](const at::Tensor& tensor) {
            const size_t at = index++;
            return tensor.is_same(before[at]) ? tensors[at] : tensor;
          });
        },
        c10::AliasAnalysisKind::FROM_SCHEMA));
    return true;
  }();
  static_cast<void>(registered);
  return c10::Symbol::fromQualString("sightglass::mark");
}

/// Marks `value` at the graph's insertion point; returns what goes on from there.
inline jit::Value* insert_mark(jit::Graph& graph, jit::Value* value, const void* place, Side side) {
  jit::Value* const place_constant = graph.insertConstant(reinterpret_cast<int64_t>(place));
  jit::Value* const side_constant = graph.insertConstant(static_cast<int64_t>(side));
  jit::Node* const node = graph.insertNode(graph.create(mark_symbol(), {value, place_constant, side_constant}));
  node->output()->setType(value->type());
  return node->output();
}

/// Puts marks around the calls of chosen submodules, inlining only what lies on the way to them.
class Marker {
 public:
  explicit Marker(const std::set<std::string>& paths) : paths_(paths) {}

  std::shared_ptr<jit::Graph> mark(const jit::Module& module) {
    auto graph = jit::toGraphFunction(module.get_method("forward").function()).graph()->copy();
    known_.emplace(graph->inputs().at(0), Known{"", module});
    mark_block(*graph->block());
    return graph;
  }

 private:
  struct Known {
    std::string path;
    jit::Module module;
  };

  bool is_wanted(const std::string& path) const { return paths_.count(path) != 0; }
  bool leads_to_wanted(const std::string& path) const {
    if (path.empty()) return !paths_.empty();
    const auto next = paths_.lower_bound(path + ".");
    return next != paths_.end() && next->compare(0, path.size() + 1, path + ".") == 0;
  }

  void mark_block(jit::Block& block) {
    for (jit::Node* node = *block.nodes().begin(); node != block.return_node();) {
      jit::Node* next = node->next();
      for (jit::Block* inner : node->blocks()) mark_block(*inner);
      if (node->kind() == c10::prim::GetAttr) {
        follow_attribute(*node);
      } else if (node->kind() == c10::prim::CallMethod) {
        next = mark_call(*node);
      }
      node = next;
    }
  }

  void follow_attribute(const jit::Node& node) {
    const auto parent = known_.find(node.input());
    if (parent == known_.end()) return;
    const std::string name = node.s(c10::attr::name);
    const c10::IValue value = parent->second.module.attr(name);
    if (!value.isModule()) return;
    const std::string path = parent->second.path.empty() ? name : parent->second.path + "." + name;
    known_.emplace(node.output(), Known{path, value.toModule()});
  }

  /// Returns the node to go on with.
  jit::Node* mark_call(jit::Node& call) {
    jit::Node* const next = call.next();
    const auto callee = known_.find(call.input(0));
    if (callee == known_.end()) return next;
    const std::string method = call.s(c10::attr::name);
    const Known known = callee->second;
    if (method == "forward" && is_wanted(known.path)) {
      const auto* const place = known.module._ivalue().get();
      mark_inputs(call, place);
      for (jit::Value* output : call.outputs()) mark_value(output, place, Side::end, *next);
    }
    if (!leads_to_wanted(known.path)) return next;
    auto* const function = jit::tryToGraphFunction(known.module.get_method(method).function());
    if (function == nullptr) return next;
    jit::Node* const before = call.prev();
    jit::inlineCallTo(&call, function, function->graph().get());
    return before->next();
  }

  /// All inputs pass through one mark: a single one as it is, several as a tuple.
  void mark_inputs(jit::Node& call, const void* place) {
    jit::Graph& graph = *call.owningGraph();
    if (call.inputs().size() == 2) {
      call.replaceInput(1, mark_before(call, call.input(1), place, Side::begin));
    } else if (call.inputs().size() > 2) {
      jit::Node* const tuple = graph.createTuple(call.inputs().slice(1))->insertBefore(&call);
      jit::Value* const marked = mark_before(call, tuple->output(), place, Side::begin);
      jit::Node* const unpacked = graph.createTupleUnpack(marked)->insertBefore(&call);
      for (size_t i = 1; i < call.inputs().size(); ++i) call.replaceInput(i, unpacked->output(i - 1));
    }
  }

  void mark_value(jit::Value* value, const void* place, Side side, jit::Node& before) {
    jit::Value* const marked = mark_before(before, value, place, side);
    value->replaceAllUsesAfterNodeWith(marked->node(), marked);
  }

  static jit::Value* mark_before(jit::Node& node, jit::Value* value, const void* place, Side side) {
    const jit::WithInsertPoint here(&node);
    return insert_mark(*node.owningGraph(), value, place, side);
  }

  const std::set<std::string>& paths_;
  std::map<const jit::Value*, Known> known_;
};

/// An object of the same tensors, and so are those in it: what `forward` assigns to an attribute stays in the shell.
inline c10::intrusive_ptr<c10::ivalue::Object> shell_of(const c10::ivalue::Object& object) {
  auto shell = object.copy();
  for (size_t slot = 0; slot < shell->slots().size(); ++slot) {
    if (shell->getSlot(slot).isModule()) shell->setSlot(slot, shell_of(shell->getSlot(slot).toObjectRef()));
  }
  return shell;
}

/// A loaded model, run from its marked copy: the same operations in the same order at every call.
class C10_EXPORT ScriptModel final : public Runnable, public std::enable_shared_from_this<ScriptModel> {
 public:
  /// One for each module object.
  static std::shared_ptr<ScriptModel> of(const jit::Module& module) {
    static std::mutex mutex;
    static std::map<const void*, std::shared_ptr<ScriptModel>> models;
    const std::lock_guard<std::mutex> lock(mutex);
    for (auto entry = models.begin(); entry != models.end();) {
      entry = entry->second->object_.expired() ? models.erase(entry) : std::next(entry);
    }
    std::shared_ptr<ScriptModel>& model = models[module._ivalue().get()];
    if (model == nullptr) model = std::make_shared<ScriptModel>(module);
    return model;
  }

  explicit ScriptModel(const jit::Module& module) : object_(module._ivalue()), address_(module._ivalue().get()) {}

  /// Marks the submodule called `path` from the next run on.
  void want(const std::string& path) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (paths_.insert(path).second) code_.reset();
  }

  /// The object that the graph's first input stands for.
  c10::intrusive_ptr<c10::ivalue::Object> object() const {
    auto object = object_.lock();
    TORCH_CHECK(object, "the TorchScript model no longer exists");
    return object;
  }
  /// A copy of the graph of `forward`, with the marks.
  std::shared_ptr<jit::Graph> marked_graph() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return Marker(paths_).mark(jit::Module(object()));
  }

  const void* id() const override { return address_; }
  std::weak_ptr<const void> lifetime() const override {
    return object_.expired() ? std::weak_ptr<const void>() : std::weak_ptr<const void>(weak_from_this());
  }
  std::string describe() const override { return "the TorchScript model"; }
  std::string remedy() const override { return ""; }
  std::vector<at::Tensor> state() const override {
    std::vector<at::Tensor> all = buffers();
    if (const auto object = object_.lock()) {
      for (const at::Tensor& parameter : jit::Module(object).parameters()) all.push_back(parameter);
    }
    return all;
  }
  std::vector<at::Tensor> buffers() const override {
    std::vector<at::Tensor> all;
    if (const auto object = object_.lock()) {
      for (const at::Tensor& buffer : jit::Module(object).buffers()) all.push_back(buffer);
    }
    return all;
  }
  uint64_t mode() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto object = object_.lock();
    return paths_.size() * 2 + (object && jit::Module(object).is_training() ? 1 : 0);
  }

  /// Keeps fusers from changing the stream of the user's own `forward` calls.
  std::shared_ptr<void> while_watched() override {
    thread_local std::weak_ptr<void> of_thread;
    std::shared_ptr<void> guard = of_thread.lock();
    if (guard == nullptr) of_thread = guard = std::make_shared<jit::GraphOptimizerEnabledGuard>(false);
    return guard;
  }

  std::vector<at::Tensor> run(const std::vector<at::Tensor>& inputs) override {
    const auto object = this->object();
    // Submodules without marks are still called as functions, each with an executor of its own.
    const jit::GraphOptimizerEnabledGuard as_written(false);
    Stack stack{c10::IValue(shell_of(*object))};
    for (const at::Tensor& input : inputs) stack.emplace_back(input);
    const std::shared_ptr<const jit::Code> code = marked_code(jit::Module(object));
    const auto& schema = jit::Module(object).get_method("forward").function().getSchema();
    schema.checkAndNormalizeInputs(stack);
    jit::InterpreterState(*code).run(stack);
    std::vector<at::Tensor> outputs;
    for (const c10::IValue& value : stack) {
      for_each_tensor(value, [&](const at::Tensor& tensor) { outputs.push_back(tensor); });
    }
    return outputs;
  }

 private:
  std::shared_ptr<const jit::Code> marked_code(const jit::Module& module) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (code_ == nullptr) code_ = std::make_shared<const jit::Code>(Marker(paths_).mark(module), "sightglass");
    return code_;
  }

  c10::weak_intrusive_ptr<c10::ivalue::Object> object_;
  const void* address_;
  mutable std::mutex mutex_;
  std::set<std::string> paths_;
  std::shared_ptr<const jit::Code> code_;
};

}  // namespace sightglass::detail
