#pragma once

#include "sightglass/exported/detail/size_checks.hpp"

#include <regex>

#include "sightglass/exported/detail/graph_values.hpp"
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::optional<LinearSize> linear_size(const std::string& expression) {
  static const std::string symbol = R"((?:Symbol\('(\w+)'[^()]*\)|([a-zA-Z]\w*)))";
  static const std::string number = R"((?:Integer\((-?\d{1,12})\)|(-?\d{1,12})))";
  static const std::regex plain(symbol), product("Mul\\(" + number + ", " + symbol + "\\)"),
      product_as_text(R"((\d{1,12})\*([a-zA-Z]\w*))"), sum("Add\\((.*), " + number + "\\)");
  const auto either = [](const std::smatch& match, size_t one) {
    return match[one].matched ? match[one] : match[one + 1];
  };
  std::smatch match;
  if (expression.size() > 1000) return std::nullopt;
  if (std::regex_match(expression, match, plain)) return LinearSize{1, either(match, 1).str(), 0};
  if (std::regex_match(expression, match, product))
    return LinearSize{std::stoll(either(match, 1).str()), either(match, 3).str(), 0};
  if (std::regex_match(expression, match, product_as_text)) return LinearSize{std::stoll(match[1]), match[2].str(), 0};
  if (!std::regex_match(expression, match, sum)) return std::nullopt;
  auto first = linear_size(match[1].str());
  if (first) first->rest += std::stoll(either(match, 2).str());
  return first;
}

SIGHTGLASS_INLINE void SizeChecks::insert(jit::Graph& graph, jit::Value* input, const std::string& name,
                                          const Json& meta) {
  const Json& sizes = meta.at("sizes");
  const auto dims = static_cast<int64_t>(sizes.size());
  jit::Value* const rank = graph.insert(c10::aten::dim, {input});
  insert_check(graph, graph.insert(c10::aten::eq, {rank, graph.insertConstant(dims)}),
               c10::str("input \"", name, "\": it has {} dimensions, and the program was exported for ", dims), rank);
  for (int64_t d = 0; d < dims; ++d) {
    const Json& size = sizes[static_cast<size_t>(d)];
    const Json* const expression = find(size, "as_expr");
    const auto expected = expression == nullptr ? LinearSize{0, "", whole_of(size)}
                                                : linear_size(expression->at("expr_str").get<std::string>());
    if (!expected || (expected->symbol.empty() && expected->rest < 0)) continue;
    jit::Value* const value = graph.insert(c10::aten::size, {input, graph.insertConstant(d)});
    insert(graph, value, c10::str("input \"", name, "\": its size in dimension ", d, " is {}, and "), *expected);
  }
}

SIGHTGLASS_INLINE void SizeChecks::insert(jit::Graph& graph, jit::Value* size, const std::string& what,
                                          const LinearSize& expected) {
  const auto constant = [&](int64_t number) { return graph.insertConstant(number); };
  if (expected.symbol.empty()) {
    return insert_check(graph, graph.insert(c10::aten::eq, {size, constant(expected.rest)}),
                        c10::str(what, "the program was exported for ", expected.rest,
                                 " only; export it with a dynamic size there (dynamic_shapes)"),
                        size);
  }
  TORCH_CHECK(expected.factor != 0, "is damaged: a size is nothing times another");
  jit::Value* symbol = size;
  if (expected.rest != 0) symbol = graph.insert(c10::aten::sub, {symbol, constant(expected.rest)});
  if (expected.factor != 1) {
    jit::Value* const left = graph.insert(c10::aten::remainder, {symbol, constant(expected.factor)});
    insert_check(graph, graph.insert(c10::aten::eq, {left, constant(0)}),
                 c10::str(what, "the program takes multiples of ", expected.factor,
                          expected.rest == 0 ? "" : c10::str(" and ", expected.rest, " more"), " there"),
                 size);
    symbol = graph.insert(c10::aten::floordiv, {symbol, constant(expected.factor)});
  }
  jit::Value*& known = symbols_[expected.symbol];
  if (known != nullptr) {
    return insert_check(graph, graph.insert(c10::aten::eq, {symbol, known}),
                        c10::str(what,
                                 "does not fit another input's size, which the program takes to be the same "
                                 "or to go with it (",
                                 expected.symbol, ")"),
                        size);
  }
  known = symbol;
  insert_range(graph, symbol, size, what, expected);
}

SIGHTGLASS_INLINE void SizeChecks::insert_range(jit::Graph& graph, jit::Value* value, jit::Value* size,
                                                const std::string& what, const LinearSize& expected) {
  const Json* const range = find(ranges_, expected.symbol.c_str());
  if (range == nullptr) return;
  constexpr int64_t unlimited = int64_t{1} << 60;
  const auto limit = [&](const char* key) {
    const Json* const number = find(*range, key);  // text: infinity
    return number == nullptr || number->is_string() ? std::optional<int64_t>()
                                                    : std::optional<int64_t>(number->get<int64_t>());
  };
  const auto told = [&](int64_t number) { return expected.factor * number + expected.rest; };
  // Exports take sizes 0 and 1 for special cases and leave them out of the range; Python runs the program on them.
  const auto least = limit("min_val"), most = limit("max_val");
  if (least && *least > 2 && *least < unlimited) {
    insert_check(graph, graph.insert(c10::aten::ge, {value, graph.insertConstant(*least)}),
                 c10::str(what, "the program takes ", told(*least), " and more there"), size);
  }
  if (most && *most >= 0 && *most < unlimited) {
    insert_check(graph, graph.insert(c10::aten::le, {value, graph.insertConstant(*most)}),
                 c10::str(what, "the program takes ", told(*most),
                          " at most there; export it with a wider range "
                          "(dynamic_shapes)"),
                 size);
  }
}

}  // namespace sightglass::detail
