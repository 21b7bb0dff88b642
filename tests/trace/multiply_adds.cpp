#include <sightglass/trace/observers/multiply_adds.hpp>

#include <torch/torch.h>

#include <string>
#include <vector>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

namespace {

struct Counted {
  int64_t sum = 0;
  std::vector<std::string> hidden;
};

template <class Run>
Counted count(const Run& run) {
  Counted counted;
  const sgd::MultiplyAddCounter::Tell tell = [&](int64_t found, const auto& /*operands*/) { counted.sum += found; };
  sgd::MultiplyAddCounter counter(tell);
  {
    const sgd::Observed listening(counter);
    run();
  }
  counted.hidden = counter.hidden();
  return counted;
}

/// Of an operation by its name, on float tensors and otherwise default arguments; -1 where LibTorch does not have it.
int64_t of_attention(const char* name, const std::vector<at::Tensor>& tensors) {
  const auto op = c10::Dispatcher::singleton().findSchema({name, ""});
  if (!op) return -1;
  torch::jit::Stack stack;
  for (const c10::Argument& argument : op->schema().arguments()) {
    stack.emplace_back(stack.size() < tensors.size() ? c10::IValue(tensors[stack.size()])
                                                     : argument.default_value().value_or(c10::IValue()));
  }
  return count([&] { op->callBoxed(&stack); }).sum;
}

}  // namespace

TEST_CASE("a convolution multiplies each element of its output by a filter") {
  const at::Tensor x = torch::randn({2, 4, 8, 6});
  // Outputs 2 x 6 x 6 x 4, filters of 4 x 3 x 3.
  CHECK(count([&] { torch::conv2d(x, torch::randn({6, 4, 3, 3})); }).sum == 2 * 6 * 6 * 4 * 36);
  // In groups: filters of 1 x 3 x 3; strided and padded to 4 x 3.
  CHECK(count([&] { torch::conv2d(x, torch::randn({4, 1, 3, 3}), {}, 2, 1, 1, 4); }).sum == 2 * 4 * 4 * 3 * 9);
  CHECK(count([&] { torch::conv1d(torch::randn({1, 2, 9}), torch::randn({3, 2, 3})); }).sum == 3 * 7 * 6);
  CHECK(count([&] { torch::conv3d(torch::randn({1, 2, 3, 3, 3}), torch::randn({3, 2, 2, 2, 2})); }).sum == 3 * 8 * 16);
  CHECK(count([&] {
          at::convolution(x, torch::randn({6, 4, 1, 1}), {}, {1, 1}, {0, 0}, {1, 1}, false, {0, 0}, 1);
        }).sum == 2 * 6 * 8 * 6 * 4);
}

TEST_CASE("a transposed convolution spreads each element of its input over a filter") {
  const at::Tensor x = torch::randn({2, 4, 8, 6});
  CHECK(count([&] { torch::conv_transpose2d(x, torch::randn({4, 5, 3, 3}), {}, 2); }).sum == 2 * 4 * 8 * 6 * 45);
  CHECK(count([&] {
          at::convolution(x, torch::randn({4, 5, 3, 3}), {}, {1, 1}, {0, 0}, {1, 1}, true, {0, 0}, 1);
        }).sum == 2 * 4 * 8 * 6 * 45);
}

TEST_CASE("a matrix product takes rows times columns times what they share") {
  const at::Tensor a = torch::randn({3, 5}), b = torch::randn({5, 7}), row = torch::randn({5});
  CHECK(count([&] { torch::mm(a, b); }).sum == 3 * 5 * 7);
  CHECK(count([&] { torch::matmul(a, b); }).sum == 3 * 5 * 7);
  CHECK(count([&] { torch::matmul(torch::randn({2, 4, 3, 5}), b); }).sum == 2 * 4 * 3 * 5 * 7);
  CHECK(count([&] { torch::matmul(row, b); }).sum == 5 * 7);
  CHECK(count([&] { torch::mv(a, row); }).sum == 3 * 5);
  CHECK(count([&] { torch::dot(row, row); }).sum == 5);
  CHECK(count([&] { torch::bmm(torch::randn({2, 3, 5}), torch::randn({2, 5, 7})); }).sum == 2 * 3 * 5 * 7);
  CHECK(count([&] { torch::addmm(torch::randn({7}), a, b); }).sum == 3 * 5 * 7);
  CHECK(count([&] { torch::zeros({3, 7}).addmm_(a, b); }).sum == 3 * 5 * 7);
  CHECK(count([&] { torch::addmv(torch::randn({3}), a, row); }).sum == 3 * 5);
  const at::Tensor left = torch::randn({2, 3, 5}), right = torch::randn({2, 5, 7});
  CHECK(count([&] { torch::baddbmm(torch::zeros({2, 3, 7}), left, right); }).sum == 2 * 3 * 5 * 7);
  CHECK(count([&] { torch::addbmm(torch::zeros({3, 7}), left, right); }).sum == 2 * 3 * 5 * 7);
  CHECK(count([&] {
          torch::linear(torch::randn({2, 3, 5}), torch::randn({7, 5}), torch::randn({7}));
        }).sum == 2 * 3 * 5 * 7);
  CHECK(count([&] { torch::bilinear(a, torch::randn({3, 4}), torch::randn({6, 5, 4}), {}); }).sum == 3 * 6 * 5 * 4);
}

TEST_CASE("fused attention multiplies queries by keys, and their map by values") {
  const std::vector<at::Tensor> tensors = {torch::randn({2, 3, 5, 4}), torch::randn({2, 3, 7, 4}),
                                           torch::randn({2, 3, 7, 6})};
  for (const char* const name : {"aten::scaled_dot_product_attention", "aten::_scaled_dot_product_attention"}) {
    const int64_t found = of_attention(name, tensors);
    if (found >= 0) CHECK(found == 2 * 3 * 5 * 7 * (4 + 6));
  }
}

TEST_CASE("what adds, normalises, pools or looks is free, and empty tensors cost nothing") {
  const at::Tensor x = torch::randn({1, 2, 4, 4});
  CHECK(count([&] {
          torch::max_pool2d(x.relu() + x * 2, 2);
          torch::batch_norm(x, {}, {}, {}, {}, true, 0.1, 1e-5, false);
          x.mean().item();
        }).sum == 0);
  CHECK(count([&] { torch::mm(torch::zeros({0, 5}), torch::zeros({5, 7})); }).sum == 0);
}

TEST_CASE("operations that multiply matrices inside are named, each once") {
  const at::Tensor a = torch::randn({2, 3});
  const Counted counted = count([&] {
    torch::einsum("ij,kj->ik", {a, a});
    torch::einsum("ij,kj->ik", {a, a});
  });
  CHECK(counted.sum == 0);
  CHECK(counted.hidden == std::vector<std::string>{"aten::einsum"});
}
