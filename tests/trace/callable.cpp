#include "sightglass/trace/learning/callable.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"

namespace sgd = sightglass::detail;
using torch::Tensor;

namespace {

struct TwoImpl : torch::nn::Module {
  Tensor forward(Tensor a, Tensor b) { return a - b; }
};
struct ListImpl : torch::nn::Module {
  std::vector<Tensor> forward(const std::vector<Tensor>& x) { return {x.back(), x.front()}; }
};
struct ByReferenceImpl : torch::nn::Module {
  Tensor forward(Tensor& x) { return x + 1; }
};
struct OptionalImpl : torch::nn::Module {
  Tensor forward(const Tensor& x, c10::optional<Tensor> mask = c10::nullopt) { return mask ? x * *mask : x; }
};
struct NumberImpl : torch::nn::Module {
  Tensor forward(const Tensor& x, int64_t) { return x; }
};
struct NoForwardImpl : torch::nn::Module {};

}  // namespace

TEST_CASE("tuples, pairs, vectors, arrays and optionals are flattened, numbers left out", "[callable]") {
  const Tensor a = torch::ones({1}), b = torch::ones({2}), c = torch::ones({3});
  sgd::Tensors flat;
  sgd::flatten(std::make_tuple(a, std::make_pair(b, 3), std::vector<Tensor>{c, a}, c10::optional<Tensor>(b),
                               c10::optional<Tensor>(), std::array<Tensor, 1>{c}),
               flat);
  std::vector<int64_t> sizes;
  for (const Tensor& tensor : flat) sizes.push_back(tensor.numel());
  CHECK(sizes == std::vector<int64_t>{1, 2, 3, 1, 2, 3});
}

TEST_CASE("with how many tensors a forward can be called is read off its type", "[callable]") {
  using Counts = std::vector<size_t>;
  CHECK(sgd::callable_of<torch::nn::Conv2dImpl>().input_counts == Counts{1});
  CHECK(sgd::callable_of<TwoImpl>().input_counts == Counts{2});
  CHECK(sgd::callable_of<ByReferenceImpl>().input_counts == Counts{1});
  CHECK(sgd::callable_of<OptionalImpl>().input_counts == Counts{1, 2});
  CHECK(sgd::callable_of<torch::nn::LSTMImpl>().input_counts.front() == 1);
  CHECK(sgd::callable_of<torch::nn::MultiheadAttentionImpl>().input_counts.front() == 3);
  CHECK_FALSE(sgd::callable_of<NumberImpl>());
  // How long a list has to be, nobody knows; a forward may index it without looking.
  CHECK_FALSE(sgd::callable_of<ListImpl>());
  CHECK_FALSE(sgd::callable_of<NoForwardImpl>());
}

TEST_CASE("a callable does what forward does", "[callable]") {
  torch::manual_seed(1);
  const Tensor a = torch::randn({2}), b = torch::randn({2});
  TwoImpl two;
  CHECK(torch::equal(sgd::callable_of<TwoImpl>().call(two, {a, b}).at(0), a - b));
  CHECK_THROWS_WITH(sgd::callable_of<TwoImpl>().call(two, {a}), ContainsSubstring("cannot be called with 1 tensors"));
  OptionalImpl optional;
  CHECK(torch::equal(sgd::callable_of<OptionalImpl>().call(optional, {a, b}).at(0), a * b));

  torch::nn::LSTM lstm(3, 4);
  const Tensor x = torch::randn({5, 2, 3});
  const auto [y, state] = lstm->forward(x);
  const auto flat = sgd::callable_of<torch::nn::LSTMImpl>().call(*lstm, {x});
  REQUIRE(flat.size() == 3);
  CHECK(torch::equal(flat[0], y));
  CHECK(torch::equal(flat[2], std::get<1>(state)));
  const Tensor h = torch::randn({1, 2, 4}), c = torch::randn({1, 2, 4});
  CHECK(torch::equal(sgd::callable_of<torch::nn::LSTMImpl>().call(*lstm, {x, h, c}).at(0),
                     std::get<0>(lstm->forward(x, std::make_tuple(h, c)))));
}

TEST_CASE("LibTorch's own types are known, users' types once they are added", "[callable]") {
  auto& types = sgd::KnownTypes::global();
  torch::nn::Conv2d conv(1, 1, 1);
  torch::nn::ReLU relu;
  torch::nn::LSTM lstm(1, 1);
  CHECK(types.find(*conv));
  CHECK(types.find(*relu));
  CHECK(types.find(*lstm));
  struct OwnImpl : TwoImpl {};
  const OwnImpl own;
  CHECK_FALSE(types.find(own));
  CHECK_FALSE(types.contains(own));
  types.add<OwnImpl>();
  CHECK(types.find(own));
  types.add<NumberImpl>();
  CHECK(types.contains(NumberImpl()));  // known, though it cannot be called
  CHECK_FALSE(types.find(NumberImpl()));
  types.add<torch::nn::Module>();
  CHECK_FALSE(types.contains(torch::nn::Module("base")));
}

TEST_CASE("what an AnyModule returns is flattened where its type is one that layers return", "[callable]") {
  const Tensor a = torch::ones({1}), b = torch::ones({2}), c = torch::ones({3});
  const auto count = [](torch::nn::AnyValue value) {
    sgd::Tensors flat;
    return sgd::flatten_any(value, flat) ? static_cast<int>(flat.size()) : -1;
  };
  CHECK(count(torch::nn::AnyValue(Tensor(a))) == 1);
  CHECK(count(torch::nn::AnyValue(std::make_tuple(a, b))) == 2);
  CHECK(count(torch::nn::AnyValue(std::make_tuple(a, std::make_tuple(b, c)))) == 3);
  CHECK(count(torch::nn::AnyValue(std::vector<Tensor>{a, b, c})) == 3);
  CHECK(count(torch::nn::AnyValue(3)) == -1);
}
