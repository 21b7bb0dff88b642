#pragma once

#include <ATen/ATen.h>
#include <ATen/core/function_schema.h>
#include <ATen/core/ivalue.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/history.hpp"
#include "sightglass/trace/interceptor.hpp"
#include "sightglass/trace/tensors.hpp"

/// Running a model again without paying for what lies before a cut: its `forward` is called, but operations before the
/// cut are handed their results instead of being run.
namespace sightglass::detail {

/// True for operations that give numbers which do not depend on a tensor's values.
bool looks_at_shape_only(const c10::FunctionSchema& schema);

/// What a pass leaves for later runs: the operations before its last cut, and the tensors that are read behind one.
class Tape {
 public:
  /// A tensor that an operation made.
  struct Made {
    std::vector<int64_t> sizes;
    at::TensorOptions options;
  };
  /// One operation before the last cut.
  struct Operation {
    const c10::FunctionSchema* schema = nullptr;
    bool depends_on_input = false;
    std::vector<Made> made;
  };
  /// A tensor: the number of the operation that made it, and its own among the results.
  using Origin = std::pair<size_t, size_t>;
  /// Where the output of a layer at which the model is cut is made.
  struct LayerOutput {
    Origin origin{0, 0};
    bool found = false;
    bool written = false;  ///< an operation behind it writes the output in place
  };

  Tape(const at::Tensor& input, size_t cuts);
  Tape(const Tape&) = delete;
  Tape& operator=(const Tape&) = delete;
  ~Tape();

  const std::vector<Operation>& operations() const { return operations_; }
  const LayerOutput& cut(size_t number) const { return cuts_[number]; }
  /// The sizes of a cut's output when it was made.
  at::IntArrayRef made_at(size_t number) const;
  int64_t batch() const { return batch_; }
  /// True where an operation behind a cut reads the input itself.
  bool reads_input() const { return reads_input_; }
  const std::map<Origin, at::Tensor>& kept() const { return kept_; }

  /// The operation that read values of what depends on the input, so that the model may have chosen its way by them;
  /// null where none did.
  const c10::FunctionSchema* reader_of_values() const;

  /// Before an operation of the pass.
  void before(const OperatorHandle& op, const Stack& stack);

  /// After it, with its results on the stack.
  void after(const OperatorHandle& op, const Stack& stack);

  /// Layer number `number` has given `output`, which the model goes on with as `replacement`.
  void pass(size_t number, const at::Tensor& output, const at::Tensor& replacement);

 private:
  static const void* key(const at::Tensor& tensor) { return tensor.unsafeGetTensorImpl(); }

  /// Behind a cut: keeps what was made before it, as it was then.
  void note_use(const at::Tensor& tensor, bool written);

  const void* input_;
  bool reads_input_ = false;
  int64_t batch_;
  std::vector<LayerOutput> cuts_;
  std::vector<Operation> operations_;
  std::map<Origin, at::Tensor> kept_;
  size_t passed_ = 0;
  size_t behind_ = 0;    ///< operations before the latest cut; 0 before the first
  Origin latest_{0, 0};  ///< the output of the latest cut
  bool depends_ = false;
  std::unordered_map<const void*, TensorRef> dependent_;
  std::unordered_map<const void*, std::pair<Origin, TensorRef>> made_;
  std::unordered_map<const void*, size_t> storages_;  // of layers' outputs
};

/// A tensor that says its shape, and holds nothing.
at::Tensor empty_shell(at::IntArrayRef sizes, const at::TensorOptions& options);

/// Listens to a run of the model on rows `images` of the tape's batch, and puts `activations` in at a cut.
class Elision final : public Listener {
 public:
  Elision(const Tape& tape, size_t cut, at::Tensor activations, at::Tensor images);

  /// Why the run could not be elided; empty when it could.
  const std::string& failure() const { return failure_; }
  bool reached_cut() const { return position_ > cut_.origin.first; }

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

 private:
  [[noreturn]] void fail(const std::string& why);

  /// Rows of a recorded tensor for the images of this run. A batch may be folded into the first dimension.
  at::Tensor rows_of(const at::Tensor& kept);

  at::Tensor shell_of(const Tape::Made& made);

  at::Tensor result(const Tape::Operation& operation, size_t index);

  /// Puts results on the stack in place of the arguments.
  void hand_out(const OperatorHandle& op, Stack& stack, const Tape::Operation& operation);

  const Tape& tape_;
  Tape::LayerOutput cut_;
  at::Tensor activations_;
  at::Tensor images_;
  size_t position_ = 0;
  std::string failure_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/elision_inl.hpp"
#endif
