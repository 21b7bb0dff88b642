#include <sightglass/trace/observers/attention.hpp>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

namespace {

using Maps = std::vector<std::shared_ptr<sgd::AttentionMap>>;
using Run = std::function<at::Tensor(const at::Tensor&)>;

struct Watched {
  at::Tensor output;
  at::Tensor gradient;  // of the output's weighted sum, at the input
  Maps maps;
};

at::Tensor weights_for(const at::Tensor& y) { return at::arange(y.numel(), y.options()).reshape(y.sizes()).cos(); }

Watched watch(const Run& run, const at::Tensor& x) {
  sgd::AttentionGradients attention;
  const at::Tensor leaf = x.detach().clone().requires_grad_();
  at::Tensor y;
  {
    const sgd::Observed listening(attention);
    y = run(leaf);
  }
  const auto gradient = torch::autograd::grad({(y * weights_for(y.detach())).sum()}, {leaf}).front();
  return {y.detach(), gradient, attention.maps()};
}

/// The operation by its name; LibTorch releases do not all have it.
c10::optional<c10::OperatorHandle> operation(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

/// Self-attention of `[2, 3, 5, 4]` by an operation, its other arguments by default but for `change`.
Run fused(const c10::OperatorHandle& op, const std::function<void(torch::jit::Stack&)>& change = {}) {
  return [op, change](const at::Tensor& x) {
    torch::jit::Stack stack;
    for (const c10::Argument& argument : op.schema().arguments()) {
      stack.emplace_back(stack.size() < 3 ? c10::IValue(x * (1. + static_cast<double>(stack.size())))
                                          : argument.default_value().value_or(c10::IValue()));
    }
    if (change) change(stack);
    op.callBoxed(&stack);
    return stack.front().toTensor();
  };
}

/// The same, written out: query x, key 2 x, value 3 x; `map` is kept.
at::Tensor written_out(const at::Tensor& x, double scale, const at::Tensor& added, at::Tensor& map) {
  map = ((x * scale).matmul(2 * x.transpose(-2, -1)) + added).softmax(-1);
  return map.matmul(3 * x);
}

void check_is_written_out(const Run& run, double scale, const at::Tensor& added) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({2, 3, 5, 4});
  const at::Tensor leaf = x.clone().requires_grad_();
  at::Tensor map;
  const at::Tensor y = written_out(leaf, scale, added, map);
  const auto wanted = torch::autograd::grad({(y * weights_for(y.detach())).sum()}, {leaf, map});
  const Watched found = watch(run, x);
  CHECK(torch::allclose(found.output, y, 1e-4, 1e-5));
  CHECK(torch::allclose(found.gradient, wanted[0], 1e-4, 1e-4));
  REQUIRE(found.maps.size() == 1);
  CHECK(found.maps[0]->sizes == std::vector<int64_t>{2, 3, 5, 5});
  CHECK(torch::allclose(found.maps[0]->gradient, wanted[1], 1e-4, 1e-5));
}

}  // namespace

TEST_CASE("attention maps are noted where they are square, over the last dimension", "[attention]") {
  const at::Tensor x = torch::rand({2, 3, 3});
  CHECK(watch([](const at::Tensor& y) { return y.softmax(-1); }, x).maps.size() == 1);
  CHECK(watch([](const at::Tensor& y) { return torch::softmax(y, 2); }, x).maps.size() == 1);
  CHECK(watch([](const at::Tensor& y) { return y.softmax(1); }, x).maps.empty());
  CHECK(watch([](const at::Tensor& y) { return y.slice(2, 1).softmax(2); }, x).maps.empty());
  CHECK(watch([](const at::Tensor& y) { return y[0].softmax(1); }, x).maps.empty());
  CHECK(watch([](const at::Tensor& y) { return y.sigmoid(); }, x).maps.empty());
}

TEST_CASE("the gradient is that at the attention map", "[attention]") {
  const at::Tensor x = torch::rand({1, 2, 2});
  const Watched found = watch([](const at::Tensor& y) { return y.softmax(-1) * 3; }, x);
  REQUIRE(found.maps.size() == 1);
  CHECK(torch::allclose(found.maps[0]->gradient, 3 * weights_for(x)));
}

TEST_CASE("fused attention is computed in the open, to the same values", "[attention]") {
  const auto op = operation("aten::scaled_dot_product_attention");
  if (!op) SKIPPED("this LibTorch has no scaled_dot_product_attention");
  const at::Tensor none = torch::zeros({1});
  const at::Tensor lower = torch::ones({5, 5}, at::kBool).tril();
  const at::Tensor forbidden = torch::zeros({5, 5}).masked_fill(lower.logical_not(), -INFINITY);
  check_is_written_out(fused(*op), .5, none);
  check_is_written_out(fused(*op, [&](auto& stack) { stack[3] = lower; }), .5, forbidden);
  check_is_written_out(fused(*op, [&](auto& stack) { stack[3] = forbidden * 1; }), .5, forbidden);
  check_is_written_out(fused(*op, [](auto& stack) { stack[5] = true; }), .5, forbidden);
  if (op->schema().argumentIndexWithName("scale")) {
    check_is_written_out(fused(*op, [](auto& stack) { stack[6] = .25; }), .25, none);
  }
}

TEST_CASE("the fused attention of LibTorch 1.13 is asked for its map", "[attention]") {
  const auto op = operation("aten::_scaled_dot_product_attention");
  if (!op) SKIPPED("this LibTorch has no _scaled_dot_product_attention");
  check_is_written_out(fused(*op), .5, torch::zeros({1}));
}

TEST_CASE("fused attention that drops out, or whose heads share keys, is left as it is", "[attention]") {
  const auto op = operation("aten::scaled_dot_product_attention");
  if (!op) SKIPPED("this LibTorch has no scaled_dot_product_attention");
  const at::Tensor x = torch::rand({2, 3, 5, 4});
  CHECK(watch(fused(*op, [](auto& stack) { stack[4] = .5; }), x).maps.empty());
}
