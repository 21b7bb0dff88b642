#include "sightglass/hooks/hooked.hpp"

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using torch::Tensor;

// Each `forward` is one found in public code; its inputs are ones, so that the expected values can be read off it.
namespace {

struct Pair {
  Tensor logits, value;
};

struct TakesReferenceImpl : torch::nn::Module {
  Tensor forward(Tensor& x) {
    x = x * 2;
    return x + 1;
  }
};
TORCH_MODULE(TakesReference);

struct ReturnsStructImpl : torch::nn::Module {
  Pair forward(Tensor x) { return {x * 2, x + 1}; }
};
TORCH_MODULE(ReturnsStruct);

struct OverloadedImpl : torch::nn::Module {
  Tensor forward(Tensor x) { return x * 2; }
  Tensor forward(int n) { return torch::ones({n}); }
};
TORCH_MODULE(Overloaded);

struct ManyImpl : torch::nn::Module {
  std::vector<Tensor> forward(std::vector<Tensor> x) { return {x[0] * 2, x[1] + 1}; }
};
TORCH_MODULE(Many);

struct HasDefaultImpl : torch::nn::Module {
  Tensor forward(const Tensor& x, bool twice = true) { return x * (twice ? 2 : 1); }
};
TORCH_MODULE(HasDefault);

struct OptionalsImpl : torch::nn::Module {
  using Past = c10::optional<std::tuple<Tensor, Tensor>>;
  std::tuple<Tensor, c10::optional<Tensor>> forward(const Tensor& x, const c10::optional<Tensor>& mask, Past& past) {
    past = std::make_tuple(x, x);
    return {x * 2, mask};
  }
};
TORCH_MODULE(Optionals);

struct ConstImpl : torch::nn::Module {
  Tensor forward(const Tensor& x) const { return x * 2; }
};
TORCH_MODULE(Const);

Tensor one() { return torch::ones({1}); }

}  // namespace

TEST_CASE("a hooked forward that takes a reference writes the caller's variable", "[cases]") {
  sg::Hooked<TakesReference> layer;
  sg::Capture capture(layer);
  Tensor x = one();
  CHECK(layer->forward(x).item<float>() == 3);
  CHECK(x.item<float>() == 2);
  CHECK(capture.output().item<float>() == 3);
  CHECK(capture.input().item<float>() == 1);
  capture.remove();
  // A gradient is told through it as well, and the variable is what the layer has put there.
  Tensor grad_input;
  sg::BackwardHook hook(layer, [&](const sg::Layer&, const Tensor& in, const Tensor&) { grad_input = in; });
  Tensor leaf = one().requires_grad_();
  Tensor variable = leaf;
  layer->forward(variable).backward();
  CHECK(grad_input.item<float>() == 2);
  CHECK(leaf.grad().item<float>() == 2);
}

TEST_CASE("a hooked forward that returns a struct is captured, and its tensors can be replaced", "[cases]") {
  sg::Hooked<ReturnsStruct> layer;
  sg::Capture capture(layer);
  const Pair pair = layer->forward(one());
  CHECK(pair.logits.item<float>() == 2);
  REQUIRE(capture.outputs().size() == 2);
  CHECK(capture.outputs()[0].item<float>() == 2);
  CHECK(capture.outputs()[1].item<float>() == 2);
  sg::ForwardHook hook(layer, [](const sg::Layer&, const std::vector<Tensor>&, const std::vector<Tensor>& out) {
    return std::vector<Tensor>{out[0] * 10, out[1] * 100};
  });
  const Pair replaced = layer->forward(one());
  CHECK(replaced.logits.item<float>() == 20);
  CHECK(replaced.value.item<float>() == 200);
}

TEST_CASE("each overload of a hooked forward is announced", "[cases]") {
  sg::Hooked<Overloaded> layer;
  sg::Capture capture(layer);
  layer->forward(one());
  CHECK(capture.output().item<float>() == 2);
  layer->forward(3);
  CHECK(capture.output().sizes() == torch::IntArrayRef({3}));
}

TEST_CASE("a hooked forward takes several tensors in braces and returns several", "[cases]") {
  sg::Hooked<Many> layer;
  sg::Capture capture(layer);
  CHECK(layer->forward({one(), one()})[1].item<float>() == 2);
  CHECK(capture.inputs().size() == 2);
  CHECK(capture.outputs().size() == 2);
}

TEST_CASE("default arguments of a hooked forward may be left out", "[cases]") {
  sg::Hooked<HasDefault> layer;
  sg::Capture capture(layer);
  CHECK(layer->forward(one()).item<float>() == 2);
  CHECK(capture.output().item<float>() == 2);
  CHECK(layer(one(), false).item<float>() == 1);
  CHECK(capture.output().item<float>() == 1);
  sg::Hooked<torch::nn::GRU> recurrent(torch::nn::GRUOptions(2, 3));
  CHECK(std::get<0>(recurrent->forward(torch::ones({4, 1, 2}))).sizes() == torch::IntArrayRef({4, 1, 3}));
}

TEST_CASE("a hooked forward takes optional arguments, also to write", "[cases]") {
  sg::Hooked<Optionals> layer;
  sg::Capture capture(layer);
  OptionalsImpl::Past past;
  CHECK(std::get<0>(layer->forward(one(), c10::nullopt, past)).item<float>() == 2);
  REQUIRE(past.has_value());
  CHECK(capture.outputs().size() == 1);
  CHECK(std::get<1>(layer->forward(one(), one() * 5, past))->item<float>() == 5);
  CHECK(capture.outputs().size() == 2);
}

TEST_CASE("a const forward can be hooked", "[cases]") {
  sg::Hooked<Const> layer;
  sg::Capture capture(layer);
  CHECK(layer->forward(one()).item<float>() == 2);
  CHECK(capture.output().item<float>() == 2);
  const sg::Hooked<Const> constant = layer;
  CHECK(constant->forward(one()).item<float>() == 2);
}

TEST_CASE("a hooked LSTM takes packed sequences", "[cases]") {
  sg::Hooked<torch::nn::LSTM> lstm(torch::nn::LSTMOptions(6, 4).batch_first(true));
  sg::Capture capture(lstm);
  const auto packed = torch::nn::utils::rnn::pack_padded_sequence(torch::ones({2, 5, 6}), torch::tensor({5, 3}), true);
  const auto [output, last] = lstm->forward_with_packed_input(packed);
  CHECK(torch::equal(capture.output(), output.data()));
  CHECK(capture.output().sizes() == torch::IntArrayRef({8, 4}));  // 5 + 3 steps
}
