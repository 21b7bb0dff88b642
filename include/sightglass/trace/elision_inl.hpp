#pragma once

#include "sightglass/trace/elision.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE bool looks_at_shape_only(const c10::FunctionSchema& schema) {
  static const std::set<std::string> names{"aten::size",
                                           "aten::stride",
                                           "aten::dim",
                                           "aten::numel",
                                           "aten::is_contiguous",
                                           "aten::sym_size",
                                           "aten::sym_numel",
                                           "aten::is_floating_point",
                                           "aten::len"};
  return names.count(schema.name()) != 0;
}

SIGHTGLASS_INLINE Tape::Tape(const at::Tensor& input, size_t cuts)
    : input_(key(input)), batch_(input.size(0)), cuts_(cuts) {
  dependent_.emplace(key(input), TensorRef(input));
}

SIGHTGLASS_INLINE Tape::~Tape() = default;

SIGHTGLASS_INLINE at::IntArrayRef Tape::made_at(size_t number) const {
  const Origin& origin = cuts_[number].origin;
  return operations_[origin.first].made[origin.second].sizes;
}

SIGHTGLASS_INLINE const c10::FunctionSchema* Tape::reader_of_values() const {
  for (const Operation& operation : operations_) {
    if (operation.depends_on_input && operation.made.empty() && !looks_at_shape_only(*operation.schema))
      return operation.schema;
  }
  return nullptr;
}

SIGHTGLASS_INLINE void Tape::before(const OperatorHandle& op, const Stack& stack) {
  const auto given = arguments(op, stack);
  const auto& declared = op.schema().arguments();
  depends_ = false;
  for (size_t i = 0; i < given.size(); ++i) {
    for_each_tensor(given[i], [&](const at::Tensor& tensor) {
      depends_ = depends_ || dependent_.count(key(tensor)) != 0;
      if (behind_ > 0) note_use(tensor, writes(declared[i]));
    });
  }
}

SIGHTGLASS_INLINE void Tape::after(const OperatorHandle& op, const Stack& stack) {
  if (passed_ == cuts_.size()) return;
  Operation operation{&op.schema(), depends_, {}};
  for (const at::Tensor& tensor : flat_tensors(results(op, stack))) {
    const Origin origin(operations_.size(), operation.made.size());
    operation.made.push_back({tensor.sizes().vec(), tensor.options().requires_grad(false)});
    if (depends_) dependent_.insert_or_assign(key(tensor), TensorRef(tensor));
    made_.insert_or_assign(key(tensor), std::make_pair(origin, TensorRef(tensor)));
  }
  operations_.push_back(std::move(operation));
}

SIGHTGLASS_INLINE void Tape::pass(size_t number, const at::Tensor& output, const at::Tensor& replacement) {
  const auto found = made_.find(key(output));
  LayerOutput& cut = cuts_[number];
  if (!cut.found) ++passed_;
  cut = {};
  cut.found = found != made_.end() && found->second.second.lock().is_same(output);
  if (!cut.found) return;
  cut.origin = found->second.first;
  behind_ = std::max(behind_, cut.origin.first + 1);
  latest_ = cut.origin;
  storages_.insert_or_assign(storage_of(output), number);
  if (replacement.is_same(output)) return;
  made_.insert_or_assign(key(replacement), std::make_pair(cut.origin, TensorRef(replacement)));
  dependent_.insert_or_assign(key(replacement), TensorRef(replacement));
}

SIGHTGLASS_INLINE void Tape::note_use(const at::Tensor& tensor, bool written) {
  const void* const storage = storage_of(tensor);
  reads_input_ = reads_input_ || key(tensor) == input_;
  const auto found = made_.find(key(tensor));
  const bool before_a_cut =
      found != made_.end() && found->second.first.first < behind_ && found->second.first != latest_;
  if (before_a_cut && found->second.second.lock().is_same(tensor)) {
    kept_.emplace(found->second.first, tensor.detach());
  }
  if (!written) return;
  if (const auto cut = storages_.find(storage); cut != storages_.end()) cuts_[cut->second].written = true;
  for (auto& [origin, kept] : kept_) {
    if (storage_of(kept) == storage) kept = kept.clone();
  }
}

SIGHTGLASS_INLINE at::Tensor empty_shell(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return at::zeros({1}, options).as_strided(sizes, std::vector<int64_t>(sizes.size(), 0));
}

SIGHTGLASS_INLINE Elision::Elision(const Tape& tape, size_t cut, at::Tensor activations, at::Tensor images)
    : tape_(tape), cut_(tape.cut(cut)), activations_(std::move(activations)), images_(std::move(images)) {}

SIGHTGLASS_INLINE void Elision::operation(const OperatorHandle& op, Stack& stack) {
  if (reached_cut()) return op.callBoxed(stack);
  const Tape::Operation& operation = tape_.operations()[position_];
  if (&op.schema() != operation.schema) fail("it runs other operations than before");
  if (operation.depends_on_input) {
    if (operation.made.empty() && !looks_at_shape_only(op.schema()))
      fail("it reads the values of " + op.schema().name());
    hand_out(op, stack, operation);
  } else {
    op.callBoxed(stack);
  }
  // Behind the cut nobody needs to listen.
  if (++position_ > cut_.origin.first) thread_state().listener = nullptr;
}

SIGHTGLASS_INLINE void Elision::fail(const std::string& why) {
  failure_ = why;
  TORCH_CHECK(false, "elision: ", why);
}

SIGHTGLASS_INLINE at::Tensor Elision::rows_of(const at::Tensor& kept) {
  if (kept.dim() == 0 || kept.size(0) % tape_.batch() != 0) fail("a tensor's first dimension is not the batch");
  const int64_t each = kept.size(0) / tape_.batch();
  if (each == 1) return kept.index_select(0, images_);
  std::vector<int64_t> folded = kept.sizes().vec();
  folded[0] = each;
  folded.insert(folded.begin(), tape_.batch());
  return kept.reshape(folded).index_select(0, images_).flatten(0, 1);
}

SIGHTGLASS_INLINE at::Tensor Elision::shell_of(const Tape::Made& made) {
  std::vector<int64_t> sizes = made.sizes;
  if (sizes.empty() || sizes[0] % tape_.batch() != 0) fail("a tensor's first dimension is not the batch");
  sizes[0] = sizes[0] / tape_.batch() * images_.size(0);
  return empty_shell(sizes, made.options);
}

SIGHTGLASS_INLINE at::Tensor Elision::result(const Tape::Operation& operation, size_t index) {
  const Tape::Origin origin(position_, index);
  if (origin == cut_.origin) return activations_;
  const auto kept = tape_.kept().find(origin);
  return kept == tape_.kept().end() ? shell_of(operation.made[index]) : rows_of(kept->second);
}

SIGHTGLASS_INLINE void Elision::hand_out(const OperatorHandle& op, Stack& stack, const Tape::Operation& operation) {
  if (operation.made.empty()) return op.callBoxed(stack);
  const auto given = arguments(op, stack).vec();
  const auto& declared = op.schema().arguments();
  torch::jit::drop(stack, given.size());
  size_t index = 0;
  for (const c10::Argument& returned : op.schema().returns()) {
    if (returned.type()->kind() == c10::TypeKind::TensorType) {
      if (index >= operation.made.size()) fail("an operation gave an undefined tensor");
      const at::Tensor made = result(operation, index++);
      const bool in_place = returned.alias_info() != nullptr && returned.alias_info()->isWrite();
      if (!in_place) {
        stack.emplace_back(made);
        continue;
      }
      // The caller's own tensor is what it goes on with.
      for (size_t i = 0; i < given.size(); ++i) {
        if (!writes(declared[i]) || !given[i].isTensor()) continue;
        given[i].toTensor().set_data(made);
        stack.emplace_back(given[i]);
        break;
      }
    } else if (returned.type()->kind() == c10::TypeKind::ListType && op.schema().returns().size() == 1) {
      c10::List<at::Tensor> list;
      while (index < operation.made.size()) list.push_back(result(operation, index++));
      stack.emplace_back(std::move(list));
    } else {
      fail("an operation gave something else than tensors");
    }
  }
}

}  // namespace sightglass::detail
