#pragma once

#include "sightglass/trace/observers/multiply_adds.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE int64_t size_of(const char* name, int64_t dim, const OperatorHandle& op, const Stack& stack) {
  const at::Tensor& tensor = argument_called(name, op, stack)->toTensor();
  return tensor.dim() == 0 ? 1 : tensor.size(dim);
}

SIGHTGLASS_INLINE MultiplyAdds of_convolution(const OperatorHandle& op, const Stack& stack) {
  const at::Tensor& weight = argument_called("weight", op, stack)->toTensor();
  const int64_t filter = weight.size(0) == 0 ? 0 : weight.numel() / weight.size(0);
  const c10::IValue* const flag = argument_called("transposed", op, stack);
  const bool transposed = op.schema().name().find("conv_transpose") != std::string::npos || (flag && flag->toBool());
  return transposed ? MultiplyAdds{arguments(op, stack)[0].toTensor().numel() * filter, 0} : MultiplyAdds{0, filter};
}

SIGHTGLASS_INLINE MultiplyAdds of_attention(const OperatorHandle& op, const Stack& stack) {
  const int64_t width = size_of("query", -1, op, stack);
  const int64_t queries = width == 0 ? 0 : argument_called("query", op, stack)->toTensor().numel() / width;
  return {queries * size_of("key", -2, op, stack) * (width + size_of("value", -1, op, stack)), 0};
}

SIGHTGLASS_INLINE MultiplyAdds multiply_adds_of(const OperatorHandle& op, const Stack& stack) {
  std::string name = op.schema().name();
  if (name.back() == '_') name.pop_back();  // in place
  if (name.rfind("aten::conv", 0) == 0 || name == "aten::_convolution" || name == "aten::mkldnn_convolution") {
    return of_convolution(op, stack);
  }
  const auto per_result = [&](const char* argument) { return MultiplyAdds{0, size_of(argument, -1, op, stack)}; };
  if (name == "aten::linear") return per_result("weight");
  if (name == "aten::mm" || name == "aten::bmm" || name == "aten::matmul" || name == "aten::mv" || name == "aten::dot")
    return per_result("self");
  if (name == "aten::addmm") return per_result("mat1");
  if (name == "aten::addmv") return per_result("mat");
  if (name == "aten::baddbmm") return per_result("batch1");
  if (name == "aten::addbmm") return {0, size_of("batch1", 0, op, stack) * size_of("batch1", -1, op, stack)};
  if (name == "aten::bilinear") return {0, size_of("input1", -1, op, stack) * size_of("input2", -1, op, stack)};
  if (name == "aten::scaled_dot_product_attention" || name == "aten::_scaled_dot_product_attention")
    return of_attention(op, stack);
  return {};
}

SIGHTGLASS_INLINE bool hides_multiply_adds(const std::string& name) {
  constexpr std::array<const char*, 14> names = {"aten::lstm",
                                                 "aten::gru",
                                                 "aten::rnn_tanh",
                                                 "aten::rnn_relu",
                                                 "aten::lstm_cell",
                                                 "aten::gru_cell",
                                                 "aten::rnn_tanh_cell",
                                                 "aten::rnn_relu_cell",
                                                 "aten::einsum",
                                                 "aten::tensordot",
                                                 "aten::chain_matmul",
                                                 "aten::linalg_multi_dot",
                                                 "aten::_native_multi_head_attention",
                                                 "aten::_transformer_encoder_layer_fwd"};
  for (const char* const hidden : names) {
    if (name == hidden) return true;
  }
  return name.rfind("quantized::", 0) == 0 || name.rfind("mkldnn::", 0) == 0;
}

SIGHTGLASS_INLINE MultiplyAddCounter::MultiplyAddCounter(Tell tell)
    : Onlooker(thread_state().listener), tell_(std::move(tell)) {}

SIGHTGLASS_INLINE void MultiplyAddCounter::operation(const OperatorHandle& op, Stack& stack) {
  ++operations_;
  const MultiplyAdds work = multiply_adds_of(op, stack);
  const std::vector<at::Tensor> operands = work.any() ? flat_tensors(arguments(op, stack)) : std::vector<at::Tensor>();
  if (hides_multiply_adds(op.schema().name())) note_hidden(op.schema().name());
  run(op, stack);
  if (!work.any()) return;
  const std::vector<at::Tensor> made = flat_tensors(results(op, stack));
  tell_(work.fixed + work.per_result * (made.empty() ? 0 : made.front().numel()), operands);
}

SIGHTGLASS_INLINE void MultiplyAddCounter::note_hidden(const std::string& name) {
  for (const std::string& noted : hidden_) {
    if (noted == name) return;
  }
  hidden_.push_back(name);
}

}  // namespace sightglass::detail
