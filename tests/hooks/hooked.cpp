#include "sightglass/hooks/hooked.hpp"

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

namespace {

/// Two equal ReLUs, which nothing would tell apart, and layers with tuples.
template <class Conv, class ReLU, class LSTM>
struct TwinsImpl : torch::nn::Module {
  Conv conv{torch::nn::Conv2dOptions(3, 4, 3)};
  ReLU relu1, relu2;
  LSTM lstm{torch::nn::LSTMOptions(4, 4)};
  TwinsImpl() {
    register_module("conv", conv);
    register_module("relu1", relu1);
    register_module("relu2", relu2);
    register_module("lstm", lstm);
  }
  Tensor forward(Tensor x) {
    x = relu1->forward(conv->forward(x)) - 1;
    x = relu2->forward(x).mean(3).permute({2, 0, 1});
    return std::get<0>(lstm->forward(x, {}));
  }
};
using Plain = TwinsImpl<torch::nn::Conv2d, torch::nn::ReLU, torch::nn::LSTM>;
using Marked = TwinsImpl<sg::Hooked<torch::nn::Conv2d>, sg::Hooked<torch::nn::ReLU>, sg::Hooked<torch::nn::LSTM>>;

Tensor input() { return torch::randn({2, 3, 6, 6}); }

}  // namespace

TEST_CASE("a hooked member keeps names, parameters, files and results", "[hooked]") {
  torch::manual_seed(1);
  const auto plain = std::make_shared<Plain>();
  torch::manual_seed(1);
  const auto marked = std::make_shared<Marked>();
  CHECK(support::saved(*plain) == support::saved(*marked));
  CHECK(plain->named_parameters().keys() == marked->named_parameters().keys());
  const Tensor x = input();
  CHECK(identical(plain->forward(x), marked->forward(x)));
  sg::Capture capture(marked->relu1);
  CHECK(identical(plain->forward(x), marked->forward(x)));
}

TEST_CASE("what plain members cannot tell apart, hooked ones do", "[hooked]") {
  torch::manual_seed(2);
  const auto plain = std::make_shared<Plain>();
  const auto marked = std::make_shared<Marked>();
  const Tensor x = input();
  const auto refuse = [&] {
    sg::Capture capture(plain, "relu1");
    plain->forward(x);
    capture.output();
  };
  sg::hookable<Plain>();
  CHECK_THROWS_WITH(refuse(), ContainsSubstring("sightglass::Hooked"));

  const Tensor first = torch::relu(marked->conv->forward(x)).detach();
  sg::Capture relu1(marked, "relu1");
  sg::Capture relu2(marked->relu2);
  sg::Capture conv(marked->conv);
  for (int call = 0; call < 3; ++call) {
    marked->forward(x);
    CHECK(identical(relu1.output(), first));
    CHECK(identical(relu1.input(), conv.output()));
    CHECK(identical(relu2.input(), first - 1));
    CHECK(identical(relu2.output(), torch::relu(first - 1)));
  }
}

TEST_CASE("a hooked member's output is replaced, and its gradient told", "[hooked]") {
  torch::manual_seed(3);
  sg::Hooked<torch::nn::ReLU> relu;
  const Tensor x = torch::tensor({-1.f, 2.f}).requires_grad_();
  Tensor at_input, at_output;
  sg::BackwardHook backward(relu, [&](const sg::Layer&, const Tensor& grad_input, const Tensor& grad_output) {
    at_input = grad_input;
    at_output = grad_output;
  });
  sg::ForwardHook hook(relu, [](const sg::Layer&, const Tensor&, const Tensor& output) { return output * 10; });
  const Tensor y = relu->forward(x);
  CHECK(torch::equal(y, torch::tensor({0.f, 20.f})));
  (y * 3).sum().backward();
  CHECK(torch::equal(at_output, torch::tensor({30.f, 30.f})));
  CHECK(torch::equal(at_input, torch::tensor({0.f, 30.f})));
}

TEST_CASE("a hooked layer with a tuple is captured flat", "[hooked]") {
  torch::manual_seed(4);
  const auto net = std::make_shared<Marked>();
  sg::Capture capture(net->lstm);
  const Tensor y = net->forward(input());
  REQUIRE(capture.outputs().size() == 3);
  CHECK(identical(capture.outputs()[0], y));
  CHECK(capture.outputs()[2].sizes() == torch::IntArrayRef({1, 2, 4}));
}

TEST_CASE("a hooked layer may stand in a Sequential, and is told once a call", "[hooked]") {
  torch::manual_seed(5);
  torch::nn::Sequential net(torch::nn::Linear(3, 4), sg::Hooked<torch::nn::ReLU>(), torch::nn::Linear(4, 2));
  const Tensor x = torch::randn({2, 3});
  int calls = 0;
  sg::ForwardHook hook(net, "1", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  sg::Capture last(net, "2");
  for (int call = 1; call <= 3; ++call) {
    const Tensor y = net->forward(x);
    CHECK(calls == call);  // the probe of the Sequential's other children is not a call
    CHECK(identical(last.output(), y));
  }
}

TEST_CASE("an exception inside of a hooked layer leaves nothing open", "[hooked]") {
  sg::Hooked<torch::nn::Linear> linear{torch::nn::LinearOptions(3, 2)};
  sg::Capture capture(linear, sg::CaptureOptions().keep(sg::Keep::all));
  CHECK_THROWS_AS(linear->forward(torch::ones({2, 5})), c10::Error);
  const Tensor y = linear->forward(torch::ones({2, 3}));
  REQUIRE(capture.calls().size() == 1);
  CHECK(identical(capture.output(), y));
  CHECK(identical(capture.input(), torch::ones({2, 3})));
}
