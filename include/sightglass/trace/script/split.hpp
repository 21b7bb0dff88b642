#pragma once

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/interpreter.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/script/script.hpp"

/// A model in two parts at a layer: the prefix before it, which needs no graph and so may take another form, and the
/// tail behind it, from which gradients come. Without a layer all of it is prefix.
namespace sightglass::detail {

/// What a frozen graph was made from: it is no longer true once one of these has changed.
class FrozenValues {
 public:
  void add(c10::intrusive_ptr<c10::ivalue::Object> object, size_t slot);
  bool changed() const;

 private:
  /// Tells whether a tensor was written or given other memory.
  struct Stamp {
    uint32_t version = 0;
    const void* data = nullptr;
    bool operator==(const Stamp& other) const { return version == other.version && data == other.data; }
  };
  static Stamp stamp_of(const c10::IValue& value);

  struct Value {
    c10::intrusive_ptr<c10::ivalue::Object> object;
    size_t slot;
    c10::IValue value;
    Stamp stamp;
  };
  std::vector<Value> values_;
};

/// Replaces what a graph reads of its model by constants.
class Freezer {
 public:
  Freezer(jit::Graph& graph, c10::intrusive_ptr<c10::ivalue::Object> self, FrozenValues& values);

 private:
  void freeze(jit::Block& block);

  void replace(jit::Node& node);

  FrozenValues& values_;
  std::map<const jit::Value*, c10::intrusive_ptr<c10::ivalue::Object>> objects_;
};

class C10_EXPORT Split {
 public:
  /// Splits `marked`, whose first input is the model `self` in evaluation mode, at that of `places` which stands first;
  /// a place that runs several times stands where its last call ends; at none, where `places` are none. For inputs of
  /// `dims` dimensions. `output`: the path of what is looked at in what the model gives, where one was chosen. Throws
  /// `c10::Error` with the reason where that cannot be.
  Split(const jit::Graph& marked, const c10::intrusive_ptr<c10::ivalue::Object>& self,
        const std::set<const void*>& places, size_t dims, std::optional<std::string> output = std::nullopt);

  /// The place at which the model is split; null where it is not.
  const void* place() const { return place_; }
  bool tail_reads_input() const { return tail_reads_input_; }
  /// Whether what was frozen has changed since.
  bool stale() const { return values_.changed(); }

  /// What the layer gives for `input`. Nobody is told of its operations. No graph is wanted, and none is looked for: a
  /// LibTorch with Vulkan cannot choose between autograd's kernels for MKL-DNN's tensors.
  at::Tensor prefix(const at::Tensor& input) const;
  /// The model's output when the layer gives `activations` for `input`.
  at::Tensor tail(const at::Tensor& activations, const at::Tensor& input) const;
  /// The model's output for `input`.
  at::Tensor whole(const at::Tensor& input) const;

 private:
  using GraphPointer = std::shared_ptr<jit::Graph>;

  c10::IValue run_prefix(const at::Tensor& input) const;

  static std::shared_ptr<const jit::Code> code(const GraphPointer& graph);
  static c10::IValue run(const jit::Code& code, std::vector<c10::IValue> stack);

  /// A pass goes as deep as the functions called were made for: only one call, where optimisation was off then.
  static void inline_all(const GraphPointer& graph);
  static bool has_calls(const jit::Block& block);

  static bool is_mark(const jit::Node& node);
  static const void* place_of(const jit::Node& mark);
  static bool ends(const jit::Node& mark);

  static void remove_mark(jit::Node& mark);

  /// Keeps the ends of `places` only.
  static void drop_marks(jit::Block& block, const std::set<const void*>& places);

  static std::pair<jit::Node*, const void*> find(jit::Graph& graph, const std::set<const void*>& places);

  static void set_dims(jit::Value& value, std::optional<size_t> dims);
  static std::optional<size_t> dims_of(const jit::Value& value);

  /// Settles what depends on the number of dimensions. Python's batch norms look at it before they run: as long as they
  /// do, they are not folded, and each look brings a tensor back to its plain layout.
  static void settle_dims(GraphPointer graph);

  /// Puts what gives no gradients into the form in which it runs fastest.
  static void optimise(GraphPointer graph);

  GraphPointer prefix_of(jit::Graph& whole, const std::set<const void*>& places);

  /// Constants may be read behind the cut wherever they are made.
  static bool is_constant(const jit::Node& node);
  /// A number made of the input's sizes alone: what lies behind the layer may make it again.
  static bool is_size(const jit::Node& node, const jit::Value& input);

  GraphPointer tail_of(jit::Graph& whole, const std::set<const void*>& places);

  static void copy_first(jit::Graph& graph, jit::Value* activations);

  std::optional<std::string> output_;
  const void* place_ = nullptr;
  std::optional<size_t> activations_dims_;
  bool tail_reads_input_ = false;
  FrozenValues values_;
  std::shared_ptr<const jit::Code> prefix_;
  std::shared_ptr<const jit::Code> tail_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/script/split_inl.hpp"
#endif
