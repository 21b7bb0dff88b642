#pragma once

#include "sightglass/trace/learning/signature.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Recording::Recording(std::vector<at::Tensor> inputs) : inputs_(std::move(inputs)) {}

SIGHTGLASS_INLINE Source Recording::maker_of(const at::Tensor& tensor, size_t step) const {
  for (size_t before = step; before-- > 0;) {
    const auto& made = (*this)[before].results;
    for (size_t i = 0; i < made.size(); ++i) {
      if (made[i].is_same(tensor)) return {Source::Kind::result, i, before};
    }
  }
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (inputs_[i].is_same(tensor)) return {Source::Kind::input, i};
  }
  return {};
}

SIGHTGLASS_INLINE const char* OffTheTrack::what() const noexcept {
  return "called alone, it performs other operations than in the model's forward";
}

SIGHTGLASS_INLINE Recorder::Recorder(const std::vector<at::Tensor>& inputs, const std::vector<at::Tensor>& state,
                                     const std::vector<at::Tensor>& buffers, Detail detail, Guide guide)
    : inputs_(inputs), detail_(detail), guide_(std::move(guide)), recording_(inputs) {
  signature_.inputs.resize(inputs.size());
  for (size_t i = 0; i < state.size(); ++i) state_.emplace(state[i].unsafeGetTensorImpl(), i);
  for (const at::Tensor& tensor : buffers) buffers_.insert(tensor.unsafeGetTensorImpl());
}

SIGHTGLASS_INLINE void Recorder::operation(const OperatorHandle& op, Stack& stack) {
  note_reads(op, stack);
  if (detail_ == Detail::full) recording_.push_back({&op.schema(), arguments(op, stack).vec(), {}});
  protect(op, stack);
  std::vector<const c10::TensorImpl*> older;  // than the run
  for (const at::Tensor& tensor : flat_tensors(arguments(op, stack)))
    if (new_.count(tensor.unsafeGetTensorImpl()) == 0) older.push_back(tensor.unsafeGetTensorImpl());
  op.callBoxed(stack);
  if (detail_ == Detail::full) recording_.back().results = flat_tensors(results(op, stack));
  const size_t step = signature_.steps.size();
  signature_.steps.push_back(&op.schema());
  size_t index = 0;
  for (const c10::IValue& value : results(op, stack)) {
    for_each_tensor(value, [&](const at::Tensor& tensor) {
      made_[tensor.unsafeGetTensorImpl()] = Source{Source::Kind::result, index++, step};
      if (foreign_storages_.count(storage_of(tensor)) == 0) own_storages_.insert(storage_of(tensor));
      // A `to` that changes nothing gives what it was given.
      if (std::find(older.begin(), older.end(), tensor.unsafeGetTensorImpl()) != older.end()) return;
      new_.insert(tensor.unsafeGetTensorImpl());
      made_tensors_.emplace_back(tensor);
    });
  }
}

SIGHTGLASS_INLINE void Recorder::mark(const void* place, Side side, std::vector<at::Tensor>& values) {
  if (side == Side::begin) {
    open_.push_back(Span{place, signature_.steps.size(), 0, sources(values), {}});
    return;
  }
  const auto opened = std::find_if(open_.rbegin(), open_.rend(), [&](const Span& span) { return span.place == place; });
  if (opened == open_.rend()) return;
  Span span = std::move(*opened);
  open_.erase(std::next(opened).base());
  span.end = signature_.steps.size();
  span.outputs = sources(values);
  span.keys = std::exchange(keys_, {});
  signature_.spans.push_back(std::move(span));
}

SIGHTGLASS_INLINE Signature Recorder::take() {
  signature_.anchor = anchor_.value_or(0);
  return std::move(signature_);
}

SIGHTGLASS_INLINE std::vector<TensorRef> Recorder::survivors() {
  recording_.clear();
  std::vector<TensorRef> alive;
  for (const TensorRef& made : made_tensors_) {
    if (made.lock().defined()) alive.push_back(made);
  }
  return alive;
}

SIGHTGLASS_INLINE void Recorder::note_reads(const OperatorHandle& op, const Stack& stack) {
  const size_t step = signature_.steps.size();
  const auto& declared = op.schema().arguments();
  const auto given = arguments(op, stack);
  size_t argument = 0;
  std::vector<std::optional<size_t>> which;
  for (size_t a = 0; a < given.size(); ++a) {
    for_each_tensor(given[a], [&](const at::Tensor& tensor) {
      which.emplace_back();
      note_storage(tensor);
      for (size_t i = 0; i < inputs_.size(); ++i) {
        if (!tensor.is_same(inputs_[i])) continue;
        which.back() = i;
        if (!signature_.inputs[i]) signature_.inputs[i] = Read{step, argument};
      }
      // Not where it is written: that may be an optimiser or an initialisation as well.
      const auto own = state_.find(tensor.unsafeGetTensorImpl());
      if (own != state_.end()) signature_.state_reads.push_back({step, argument, own->second});
      if (!anchor_ && own != state_.end() && !writes(declared[a])) anchor_ = step;
      ++argument;
    });
  }
  if (guide_ && !guide_(&op.schema(), which)) throw OffTheTrack();
}

SIGHTGLASS_INLINE void Recorder::protect(const OperatorHandle& op, Stack& stack) {
  const auto& declared = op.schema().arguments();
  const size_t first = stack.size() - declared.size();
  for (size_t i = 0; i < declared.size(); ++i) {
    c10::IValue& value = stack[first + i];
    if (value.isGenerator()) value = c10::IValue(value.toGenerator().clone());
    const bool written = writes(declared[i]);
    bool endangered = false;
    for_each_tensor(value, [&](const at::Tensor& tensor) { endangered |= is_endangered(tensor, written); });
    if (endangered) {
      change_tensors(
          value, [&](const at::Tensor& tensor) { return is_endangered(tensor, written) ? clone_of(tensor) : tensor; });
    }
  }
}

SIGHTGLASS_INLINE void Recorder::note_storage(const at::Tensor& tensor) {
  const void* const storage = storage_of(tensor);
  const bool is_input = std::any_of(inputs_.begin(), inputs_.end(),
                                    [&](const at::Tensor& input) { return storage_of(input) == storage; });
  if (!is_input && own_storages_.count(storage) == 0) foreign_storages_.insert(storage);
}

SIGHTGLASS_INLINE bool Recorder::is_endangered(const at::Tensor& tensor, bool written) const {
  const c10::TensorImpl* const impl = tensor.unsafeGetTensorImpl();
  if (clones_.count(impl) != 0 || buffers_.count(impl) != 0) return true;
  if (!written) return false;
  const bool is_input = std::any_of(inputs_.begin(), inputs_.end(),
                                    [&](const at::Tensor& input) { return storage_of(input) == storage_of(tensor); });
  return !is_input && own_storages_.count(storage_of(tensor)) == 0;
}

SIGHTGLASS_INLINE at::Tensor Recorder::clone_of(const at::Tensor& tensor) {
  at::Tensor& clone = clones_[tensor.unsafeGetTensorImpl()];
  if (!clone.defined()) {
    clone = tensor.detach().clone();
    own_storages_.insert(storage_of(clone));
    kept_.push_back(tensor);
  }
  return clone;
}

SIGHTGLASS_INLINE std::vector<Source> Recorder::sources(const std::vector<at::Tensor>& values) const {
  std::vector<Source> found;
  for (const at::Tensor& value : values) found.push_back(source_of(value));
  return found;
}

SIGHTGLASS_INLINE Source Recorder::source_of(const at::Tensor& value) const {
  if (!value.defined()) return {};
  const auto made = made_.find(value.unsafeGetTensorImpl());
  if (made != made_.end()) return made->second;
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (value.is_same(inputs_[i])) return {Source::Kind::input, i};
  }
  return {};
}

}  // namespace sightglass::detail
