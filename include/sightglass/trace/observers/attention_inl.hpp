#pragma once

#include "sightglass/trace/observers/attention.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE void AttentionGradients::operation(const OperatorHandle& op, Stack& stack) {
  const std::string& name = op.schema().name();
  if (name == "aten::scaled_dot_product_attention") return run_in_the_open(op, stack);
  const bool old_fused = name == "aten::_scaled_dot_product_attention";  // LibTorch 1.13: gives its map when asked
  if (old_fused) argument("need_attn_weights", op, stack) = true;
  const bool softmax = name == "aten::softmax" || name == "aten::_softmax" || name == "aten::special_softmax";
  const int64_t dim = softmax ? argument("dim", op, stack).toInt() : -1;
  run(op, stack);
  if (old_fused) note(stack.back().toTensor());
  if (!softmax) return;
  const at::Tensor& y = stack.back().toTensor();
  if (dim == -1 || dim == y.dim() - 1) note(y);
}

SIGHTGLASS_INLINE const std::vector<std::shared_ptr<AttentionMap>>& AttentionGradients::maps() const { return maps_; }

SIGHTGLASS_INLINE void AttentionGradients::note(const at::Tensor& map) {
  if (!map.defined() || map.dim() < 3 || map.size(-1) != map.size(-2) || !map.requires_grad()) return;
  const auto noted = std::make_shared<AttentionMap>(AttentionMap{map.sizes().vec(), {}});
  maps_.push_back(noted);
  on_gradient(map, [noted](const at::Tensor& gradient) { noted->gradient = gradient.detach(); });
}

SIGHTGLASS_INLINE void AttentionGradients::run_in_the_open(const OperatorHandle& op, Stack& stack) {
  const auto tensor = [&](const std::string& name) {
    const c10::IValue& value = argument(name, op, stack);
    return value.isTensor() ? value.toTensor() : at::Tensor();
  };
  const at::Tensor query = tensor("query"), key = tensor("key"), value = tensor("value"), mask = tensor("attn_mask");
  // Several heads may share a key, or drop out: not what is written here.
  const bool shared = query.dim() > 2 && key.dim() > 2 && query.size(-3) != key.size(-3);
  if (shared || argument("dropout_p", op, stack).toDouble() > 0) return run(op, stack);
  double scale = 1 / std::sqrt(static_cast<double>(query.size(-1)));
  const c10::IValue* const given = argument_called("scale", op, stack);  // not in every release
  if (given != nullptr && !given->isNone()) scale = given->toDouble();
  at::Tensor logits = (query * scale).matmul(key.transpose(-2, -1));
  at::Tensor allowed;
  if (argument("is_causal", op, stack).toBool()) {
    allowed = at::ones({query.size(-2), key.size(-2)}, query.options().dtype(at::kBool)).tril();
  } else if (mask.defined() && mask.scalar_type() == at::kBool) {
    allowed = mask;
  } else if (mask.defined()) {
    logits = logits + mask;
  }
  if (allowed.defined()) logits = logits.masked_fill(allowed.logical_not(), -INFINITY);
  const at::Tensor map = logits.softmax(-1);
  note(map);
  run(op, stack);  // for whoever listens too
  stack.back() = map.matmul(value);
}

SIGHTGLASS_INLINE c10::IValue& AttentionGradients::argument(const std::string& name, const OperatorHandle& op,
                                                            Stack& stack) {
  const c10::IValue* const found = argument_called(name, op, stack);
  TORCH_CHECK(found != nullptr, op.schema().name(), ": has no argument ", name);
  return stack[static_cast<size_t>(found - stack.data())];
}

}  // namespace sightglass::detail
