#pragma once

#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "sightglass/trace/history.hpp"
#include "sightglass/trace/runnable.hpp"
#include "sightglass/trace/tensors.hpp"

/// Where a layer begins and ends in the stream of operations.
namespace sightglass::detail {

/// Where a tensor comes from: result `index` (lists counted one by one) of operation `step`; or, with `step` = `given`,
/// input `index` of the whole. `nowhere`: no operation made it, so that it cannot be found again.
struct Slot {
  static constexpr int64_t given = -1;
  static constexpr int64_t nowhere = -2;
  int64_t step = nowhere;
  size_t index = 0;

  bool made() const { return step >= 0; }
};

/// One call of a place: it runs the operations `begin` to `end` (exclusive), perhaps none.
struct Span {
  const void* place = nullptr;
  size_t begin = 0;
  size_t end = 0;
  std::vector<Slot> inputs;
  std::vector<Slot> outputs;
  std::vector<std::string> keys = {};  ///< the path of each output, where it gives no single tensor
};

/// Where an input of the whole is read first: tensor argument `argument` (lists counted one by one) of operation
/// `step`.
struct Read {
  static constexpr size_t never = static_cast<size_t>(-1);
  size_t step = never;
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
  size_t anchor = 0;         ///< the first operation that reads a parameter or buffer, and does not write it
  std::vector<Read> inputs;  ///< one for each input
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
  explicit Recording(std::vector<at::Tensor> inputs = {}) : inputs_(std::move(inputs)) {}

  /// What made `tensor`, as it was before operation `step`.
  Slot maker_of(const at::Tensor& tensor, size_t step) const {
    for (size_t before = step; before-- > 0;) {
      const auto& made = (*this)[before].results;
      for (size_t i = 0; i < made.size(); ++i) {
        if (made[i].is_same(tensor)) return {static_cast<int64_t>(before), i};
      }
    }
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (inputs_[i].is_same(tensor)) return {Slot::given, i};
    }
    return {};
  }

 private:
  std::vector<at::Tensor> inputs_;
};

/// Says, before each operation of a trial run, whether to go on; `given`: its tensor arguments, and for each of them
/// the number of the trial's input that it is, or -1.
using Guide = std::function<bool(const c10::FunctionSchema* schema, const std::vector<int>& given)>;

/// Thrown through a user's `forward` to end a trial that its guide has given up.
struct OffTheTrack : std::exception {
  const char* what() const noexcept override {
    return "called alone, it performs other operations than in the model's forward";
  }
};

/// Listens to a trial run and writes down its signature. The model is not changed by it: whatever the run would write
/// and has not made itself is replaced by a clone, as are all buffers (batch norm writes its running statistics without
/// saying so in its schema), and generators by copies.
class Recorder final : public Listener {
 public:
  /// `full` keeps what each operation was given and gave.
  enum class Detail { names, full };

  Recorder(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& state,
           const std::vector<at::Tensor>& buffers, Detail detail = Detail::names, Guide guide = nullptr)
      : inputs_(inputs), detail_(detail), guide_(std::move(guide)), recording_(inputs) {
    signature_.anchor = none;
    signature_.inputs.resize(inputs.size());
    for (size_t i = 0; i < state.size(); ++i) state_.emplace(state[i].unsafeGetTensorImpl(), i);
    for (const at::Tensor& tensor : buffers) buffers_.insert(tensor.unsafeGetTensorImpl());
  }

  void operation(const OperatorHandle& op, Stack& stack) override {
    note_reads(op, stack);
    if (detail_ == Detail::full) recording_.push_back({&op.schema(), arguments(op, stack).vec(), {}});
    protect(op, stack);
    op.callBoxed(stack);
    if (detail_ == Detail::full) recording_.back().results = flat_tensors(results(op, stack));
    const auto step = static_cast<int64_t>(signature_.steps.size());
    signature_.steps.push_back(&op.schema());
    size_t index = 0;
    for (const c10::IValue& value : results(op, stack)) {
      for_each_tensor(value, [&](const at::Tensor& tensor) {
        made_[tensor.unsafeGetTensorImpl()] = Slot{step, index++};
        if (foreign_storages_.count(storage_of(tensor)) == 0) own_storages_.insert(storage_of(tensor));
        made_tensors_.emplace_back(tensor);
      });
    }
  }

  void mark(const void* place, Side side, std::vector<at::Tensor>& values) override {
    if (side == Side::begin) {
      open_.push_back(Span{place, signature_.steps.size(), 0, slots(values), {}});
      return;
    }
    const auto opened =
        std::find_if(open_.rbegin(), open_.rend(), [&](const Span& span) { return span.place == place; });
    if (opened == open_.rend()) return;
    Span span = std::move(*opened);
    open_.erase(std::next(opened).base());
    span.end = signature_.steps.size();
    span.outputs = slots(values);
    span.keys = std::exchange(keys_, {});
    signature_.spans.push_back(std::move(span));
  }
  void keys(const void* /*place*/, const std::vector<std::string>& paths) override { keys_ = paths; }

  bool has_anchor() const { return signature_.anchor != none; }
  Signature take() { return std::move(signature_); }
  const Recording& recording() const { return recording_; }

  /// Tensors that live on after the run: the layer has stored them. To be asked when nobody else holds any.
  std::vector<TensorRef> survivors() {
    recording_.clear();
    std::vector<TensorRef> alive;
    for (const TensorRef& made : made_tensors_) {
      if (made.lock().defined()) alive.push_back(made);
    }
    return alive;
  }

 private:
  static constexpr size_t none = static_cast<size_t>(-1);

  void note_reads(const OperatorHandle& op, const Stack& stack) {
    const size_t step = signature_.steps.size();
    const auto& declared = op.schema().arguments();
    const auto given = arguments(op, stack);
    size_t argument = 0;
    std::vector<int> which;
    for (size_t a = 0; a < given.size(); ++a) {
      for_each_tensor(given[a], [&](const at::Tensor& tensor) {
        which.push_back(-1);
        note_storage(tensor);
        for (size_t i = 0; i < inputs_.size(); ++i) {
          if (!tensor.is_same(inputs_[i])) continue;
          which.back() = static_cast<int>(i);
          if (signature_.inputs[i].step == Read::never) signature_.inputs[i] = {step, argument};
        }
        // Not where it is written: that may be an optimiser or an initialisation as well.
        const auto own = state_.find(tensor.unsafeGetTensorImpl());
        if (own != state_.end()) signature_.state_reads.push_back({step, argument, own->second});
        if (signature_.anchor == none && own != state_.end() && !writes(declared[a])) signature_.anchor = step;
        ++argument;
      });
    }
    if (guide_ && !guide_(&op.schema(), which)) throw OffTheTrack();
  }

  void protect(const OperatorHandle& op, Stack& stack) {
    const auto& declared = op.schema().arguments();
    const size_t first = stack.size() - declared.size();
    for (size_t i = 0; i < declared.size(); ++i) {
      c10::IValue& value = stack[first + i];
      if (value.isGenerator()) value = c10::IValue(value.toGenerator().clone());
      const bool written = writes(declared[i]);
      bool endangered = false;
      for_each_tensor(value, [&](const at::Tensor& tensor) { endangered |= is_endangered(tensor, written); });
      if (endangered) {
        change_tensors(value, [&](const at::Tensor& tensor) {
          return is_endangered(tensor, written) ? clone_of(tensor) : tensor;
        });
      }
    }
  }

  /// Memory that was there before the run; what looks at it later, as a view, is as precious.
  void note_storage(const at::Tensor& tensor) {
    const void* const storage = storage_of(tensor);
    const bool is_input = std::any_of(inputs_.begin(), inputs_.end(),
                                      [&](const at::Tensor& input) { return storage_of(input) == storage; });
    if (!is_input && own_storages_.count(storage) == 0) foreign_storages_.insert(storage);
  }

  bool is_endangered(const at::Tensor& tensor, bool written) const {
    const c10::TensorImpl* const impl = tensor.unsafeGetTensorImpl();
    if (clones_.count(impl) != 0 || buffers_.count(impl) != 0) return true;
    if (!written) return false;
    const bool is_input = std::any_of(inputs_.begin(), inputs_.end(),
                                      [&](const at::Tensor& input) { return storage_of(input) == storage_of(tensor); });
    return !is_input && own_storages_.count(storage_of(tensor)) == 0;
  }

  /// One clone a tensor, so that a later read sees an earlier write.
  at::Tensor clone_of(const at::Tensor& tensor) {
    at::Tensor& clone = clones_[tensor.unsafeGetTensorImpl()];
    if (!clone.defined()) {
      clone = tensor.detach().clone();
      own_storages_.insert(storage_of(clone));
      kept_.push_back(tensor);
    }
    return clone;
  }

  std::vector<Slot> slots(const std::vector<at::Tensor>& values) const {
    std::vector<Slot> found;
    for (const at::Tensor& value : values) found.push_back(slot(value));
    return found;
  }

  Slot slot(const at::Tensor& value) const {
    if (!value.defined()) return {};
    const auto made = made_.find(value.unsafeGetTensorImpl());
    if (made != made_.end()) return made->second;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      if (value.is_same(inputs_[i])) return {Slot::given, i};
    }
    return {};
  }

  Signature signature_;
  std::vector<at::Tensor> inputs_;
  Detail detail_;
  Guide guide_;
  Recording recording_;
  std::vector<Span> open_;
  std::vector<std::string> keys_;                             // of the place that ends next
  std::unordered_map<const c10::TensorImpl*, size_t> state_;  // and its number
  std::unordered_set<const c10::TensorImpl*> buffers_;
  std::unordered_map<const c10::TensorImpl*, Slot> made_;
  std::unordered_set<const void*> own_storages_;
  std::unordered_set<const void*> foreign_storages_;
  std::unordered_map<const c10::TensorImpl*, at::Tensor> clones_;
  std::vector<at::Tensor> kept_;
  std::vector<TensorRef> made_tensors_;  // weak: a dead tensor's address is not used again while one looks at it
};

}  // namespace sightglass::detail
