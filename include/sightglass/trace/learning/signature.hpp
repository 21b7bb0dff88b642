#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sightglass/inline.hpp"
#include "sightglass/trace/history.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/tensors.hpp"

/// Where a layer begins and ends in the stream of operations.
namespace sightglass::detail {

/// Where a tensor comes from, as far as it can be found again: an operation's result (lists counted one by one), or an
/// input of the whole.
struct Source {
  enum class Kind { unknown, input, result };
  Kind kind = Kind::unknown;
  size_t index = 0;  ///< among the results or inputs
  size_t step = 0;   ///< the operation, of a result

  bool made() const { return kind == Kind::result; }
  friend bool operator<(const Source& a, const Source& b) {
    return std::tie(a.kind, a.step, a.index) < std::tie(b.kind, b.step, b.index);
  }
};

/// One call of a place: it runs the operations `begin` to `end` (exclusive), perhaps none.
struct Span {
  const void* place = nullptr;
  size_t begin = 0;
  size_t end = 0;
  std::vector<Source> inputs;
  std::vector<Source> outputs;
  std::vector<std::string> keys = {};  ///< the path of each output, where it gives no single tensor
};

/// Where an input of the whole is read first: tensor argument `argument` (lists counted one by one) of operation
/// `step`.
struct Read {
  size_t step = 0;
  size_t argument = 0;
};

/// A parameter or buffer that operation `step` reads: number `state` of `Runnable::state()`, as its tensor argument
/// `argument`.
struct StateRead {
  size_t step = 0;
  size_t argument = 0;
  size_t state = 0;
};

/// The operations that a runnable's `forward` performs, in order.
struct Signature {
  std::vector<const c10::FunctionSchema*> steps;
  size_t anchor = 0;  ///< the first operation that reads a parameter or buffer, and does not write it
  std::vector<std::optional<Read>> inputs;  ///< one for each input; none where it is never read
  /// In the order of steps. Another layer that performs the same operations does so with parameters of its own.
  std::vector<StateRead> state_reads;
  std::vector<Span> spans;  ///< in the order in which they end: the whole last
  uint64_t mode = 0;
  std::unordered_map<const void*, std::string> problems;  ///< places inside of it that cannot be told, and why
};

/// One operation of a trial run with all it was given.
struct RecordedStep {
  const c10::FunctionSchema* schema;
  std::vector<c10::IValue> arguments;
  std::vector<at::Tensor> results;
};

/// A trial run, whole. Its tensors are small samples.
class Recording : public std::vector<RecordedStep> {
 public:
  explicit Recording(std::vector<at::Tensor> inputs = {});

  /// What made `tensor`, as it was before operation `step`.
  Source maker_of(const at::Tensor& tensor, size_t step) const;

 private:
  std::vector<at::Tensor> inputs_;
};

/// Says, before each operation of a trial run, whether to go on; `given`: its tensor arguments, and for each of them
/// the number of the trial's input that it is, if it is one.
using Guide = std::function<bool(const c10::FunctionSchema* schema, const std::vector<std::optional<size_t>>& given)>;

/// Thrown through a user's `forward` to end a trial that its guide has given up.
struct OffTheTrack : std::exception {
  SIGHTGLASS_INLINE const char* what() const noexcept override;
};

/// Listens to a trial run and writes down its signature. The model is not changed by it: whatever the run would write
/// and has not made itself is replaced by a clone, as are all buffers (batch norm writes its running statistics without
/// saying so in its schema), and generators by copies.
class Recorder final : public Listener {
 public:
  /// `full` keeps what each operation was given and gave.
  enum class Detail { names, full };

  Recorder(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& state,
           const std::vector<at::Tensor>& buffers, Detail detail = Detail::names, Guide guide = nullptr);

  SIGHTGLASS_INLINE void operation(const OperatorHandle& op, Stack& stack) override;

  SIGHTGLASS_INLINE void mark(const void* place, Side side, std::vector<at::Tensor>& values) override;
  void keys(const void* /*place*/, const std::vector<std::string>& paths) override { keys_ = paths; }

  bool has_anchor() const { return anchor_.has_value(); }
  Signature take();
  const Recording& recording() const { return recording_; }

  /// Tensors that live on after the run: the layer has stored them. To be asked when nobody else holds any.
  std::vector<TensorRef> survivors();

 private:
  void note_reads(const OperatorHandle& op, const Stack& stack);

  void protect(const OperatorHandle& op, Stack& stack);

  /// Memory that was there before the run; what looks at it later, as a view, is protected too.
  void note_storage(const at::Tensor& tensor);

  bool is_endangered(const at::Tensor& tensor, bool written) const;

  /// One clone a tensor, so that a later read sees an earlier write.
  at::Tensor clone_of(const at::Tensor& tensor);

  std::vector<Source> sources(const std::vector<at::Tensor>& values) const;

  Source source_of(const at::Tensor& value) const;

  Signature signature_;
  std::optional<size_t> anchor_;  // none as long as nothing of `state` was read
  std::vector<at::Tensor> inputs_;
  Detail detail_;
  Guide guide_;
  Recording recording_;
  std::vector<Span> open_;
  std::vector<std::string> keys_;                             // of the place that ends next
  std::unordered_map<const c10::TensorImpl*, size_t> state_;  // and its number
  std::unordered_set<const c10::TensorImpl*> buffers_;
  std::unordered_map<const c10::TensorImpl*, Source> made_;
  std::unordered_set<const void*> own_storages_;
  std::unordered_set<const void*> foreign_storages_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> clones_;
  std::vector<at::Tensor> kept_;
  std::vector<TensorRef> made_tensors_;  // weak: a dead tensor's address is not used again while one looks at it
  std::unordered_set<const c10::TensorImpl*> new_;  // these
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/trace/learning/signature_inl.hpp"
#endif
