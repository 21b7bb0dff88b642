#pragma once

#include "sightglass/exported/detail/attention.hpp"

#include <limits>
#include <string>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// Attention's scores, and what is done with them.
class AttentionMaker {
 public:
  AttentionMaker(GraphValues& values, const Json& node) : values_(values), inputs_(node.at("inputs")) {}

  jit::Value* make() {
    TORCH_CHECK(!is_true("enable_gqa"),
                "it shares keys between heads, which this LibTorch cannot; load the file with "
                "LibTorch 2.5 or newer");
    jit::Value* const query = tensor("query");
    jit::Value* scores = values_.insert("aten::mul", {query, scale(query)});
    scores = values_.insert("aten::matmul", {scores, insert("aten::transpose", tensor("key"), -2, -1)});
    if (is_true("is_causal")) scores = without(scores, later(scores));
    if (const Json* const mask = given("attn_mask")) scores = masked(scores, values_.argument(*mask, type_of_tensor()));
    jit::Value* weights = values_.insert("aten::softmax", {scores, number(-1), values_.constant(c10::IValue())});
    const Json* const dropout = given("dropout_p");
    const double share = dropout == nullptr ? 0 : float_of(member_of(*dropout).second);
    if (share > 0)
      weights = values_.insert("aten::dropout", {weights, values_.constant(share), values_.constant(true)});
    return values_.insert("aten::matmul", {weights, tensor("value")});
  }

 private:
  static c10::TypePtr type_of_tensor() { return c10::TensorType::get(); }

  /// The argument of this name; null where it is none.
  const Json* given(const std::string& name) const {
    for (const Json& input : inputs_)
      if (input.at("name") == name) return member_of(input.at("arg")).first == "as_none" ? nullptr : &input.at("arg");
    return nullptr;
  }

  bool is_true(const char* name) const {
    const Json* const value = given(name);
    return value != nullptr && member_of(*value).second.get<bool>();
  }

  jit::Value* tensor(const char* name) {
    const Json* const value = given(name);
    TORCH_CHECK(value != nullptr, "is damaged: it lacks the argument \"", name, "\"");
    return values_.argument(*value, type_of_tensor());
  }

  jit::Value* number(int64_t value) { return values_.constant(value); }

  jit::Value* insert(const char* name, jit::Value* of, int64_t one, int64_t other) {
    return values_.insert(name, {of, number(one), number(other)});
  }

  jit::Value* scale(jit::Value* query) {
    if (const Json* const told = given("scale")) return values_.argument(*told, c10::FloatType::get());
    jit::Value* const length = values_.insert("aten::sqrt", {values_.insert("aten::size", {query, number(-1)})});
    return values_.insert("aten::div", {values_.constant(1.0), length});
  }

  /// The scores without those where `hidden` is true.
  jit::Value* without(jit::Value* scores, jit::Value* hidden) {
    return values_.insert("aten::masked_fill",
                          {scores, hidden, values_.constant(-std::numeric_limits<double>::infinity())});
  }

  /// True above the diagonal.
  jit::Value* later(jit::Value* scores) {
    jit::Value* const ones = values_.insert("aten::ones_like", {scores});
    return values_.insert("aten::ne", {values_.insert("aten::triu", {ones, number(1)}), number(0)});
  }

  /// A mask of booleans tells what to look at; one of numbers is added.
  jit::Value* masked(jit::Value* scores, jit::Value* mask) {
    jit::Graph& graph = values_.graph();
    jit::Value* const type = values_.insert("prim::dtype", {mask});
    jit::Value* const is_bool = values_.insert("aten::eq", {type, number(static_cast<int64_t>(at::ScalarType::Bool))});
    jit::Node* const branch = graph.insertNode(graph.create(c10::prim::If, {is_bool}, 1));
    {
      jit::Block* const block = branch->addBlock();
      const jit::WithInsertPoint here(block);
      block->registerOutput(without(scores, values_.insert("aten::logical_not", {mask})));
    }
    {
      jit::Block* const block = branch->addBlock();
      const jit::WithInsertPoint here(block);
      block->registerOutput(values_.insert("aten::add", {scores, mask}));
    }
    branch->output()->setType(type_of_tensor());
    return branch->output();
  }

  GraphValues& values_;
  const Json& inputs_;
};

SIGHTGLASS_INLINE void insert_attention(GraphValues& values, const Json& node) {
  values.bind(node.at("outputs"), {AttentionMaker(values, node).make()});
}

}  // namespace sightglass::detail
