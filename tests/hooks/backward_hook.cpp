#include "sightglass/hooks/backward_hook.hpp"

#include <stdexcept>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

TEST_CASE("a backward hook is given the gradients at both ends of its layer", "[backward_hook]") {
  torch::manual_seed(1);
  torch::nn::Linear first(3, 4), second(4, 2);
  torch::nn::Sequential net(first, torch::nn::Tanh(), second);
  const Tensor x = torch::randn({5, 3});
  Tensor at_input, at_output;
  int calls = 0;
  sg::BackwardHook hook(net, "2", [&](const sg::Layer& layer, const Tensor& grad_input, const Tensor& grad_output) {
    ++calls;
    CHECK(layer.name() == "2");
    at_input = grad_input;
    at_output = grad_output;
  });
  const Tensor weight = second->weight.detach().clone();
  for (int call = 1; call <= 3; ++call) {
    const Tensor y = net->forward(x);
    y.pow(2).sum().backward();
    CHECK(calls == call);
    CHECK(torch::allclose(at_output, 2 * y));                        // d(y^2)/dy
    CHECK(torch::allclose(at_input, torch::matmul(2 * y, weight)));  // through y = h W^T + b
  }
}

TEST_CASE("the output's gradient is exact although the model writes it in place afterwards", "[backward_hook]") {
  torch::manual_seed(2);
  nets::ConvNet net;
  const Tensor x = torch::randn({2, 3, 12, 12});
  Tensor got;
  sg::BackwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor& grad_input, const Tensor& grad_output) {
    CHECK_FALSE(grad_input.defined());  // the picture needs no gradient
    got = grad_output;
  });
  net->forward(x).select(1, 1).sum().backward();
  hook.remove();

  Tensor y = net->conv1->forward(x).detach().requires_grad_();
  Tensor z = torch::max_pool2d(net->conv2->forward(torch::relu(y)) + 1, 2).mean({2, 3});
  z = torch::log_softmax(net->fc->forward(z), 1).select(1, 1).sum();
  const Tensor expected = torch::autograd::grad({z}, {y})[0];
  REQUIRE(got.defined());
  CHECK(torch::allclose(got, expected));
}

TEST_CASE("the input's gradient is the layer's own share where others read the input, too", "[backward_hook]") {
  torch::manual_seed(3);
  nets::BottleneckNet net;  // relu(expand(relu(reduce(x))) + x)
  const Tensor x = torch::randn({1, 4, 3, 3});
  Tensor share, whole;
  sg::BackwardHook hook(net, "bottleneck_1.reduce",
                        [&](const sg::Layer&, const Tensor& grad_input, const Tensor& grad_output) {
                          share = grad_input;
                          whole = grad_output;
                        });
  net->forward(x).sum().backward();
  const auto reduce = std::dynamic_pointer_cast<torch::nn::Conv2dImpl>(net->named_modules()["bottleneck_1.reduce"]);
  REQUIRE(share.defined());
  CHECK(torch::allclose(share, torch::conv_transpose2d(whole, reduce->weight), 1e-4, 1e-6));
}

TEST_CASE("gradients of the model are the same with backward hooks as without", "[backward_hook]") {
  torch::manual_seed(4);
  nets::ResNet net;
  const Tensor x = torch::randn({4, 3, 8, 8});
  const auto gradients = [&] {
    torch::manual_seed(5);
    net->zero_grad();
    net->forward(x).pow(2).sum().backward();
    std::vector<Tensor> all;
    for (const Tensor& parameter : net->parameters()) all.push_back(parameter.grad().clone());
    return all;
  };
  const std::vector<Tensor> plain = gradients();
  int calls = 0;
  const auto count = [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; };
  sg::BackwardHook a(net, "conv1", count);
  sg::BackwardHook b(net, "layer1.0", count);
  sg::BackwardHook c(net, "layer2.0.bn2", count);
  sg::BackwardHook d(net, "fc", count);
  const std::vector<Tensor> hooked = gradients();
  CHECK(calls == 4);
  for (size_t i = 0; i < plain.size(); ++i) CHECK(identical(plain[i], hooked[i]));
}

TEST_CASE("a backward hook removed before the backward pass is not called", "[backward_hook]") {
  nets::ConvNet net;
  int calls = 0;
  sg::BackwardHook hook(net->conv2, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  const Tensor y = net->forward(torch::randn({1, 3, 12, 12}));
  hook.remove();
  y.sum().backward();
  CHECK(calls == 0);
}

TEST_CASE("a layer called twice has its backward hook called twice", "[backward_hook]") {
  torch::manual_seed(6);
  nets::Twice net;
  std::vector<Tensor> gradients;
  sg::BackwardHook hook(net->conv,
                        [&](const sg::Layer&, const Tensor&, const Tensor& grad) { gradients.push_back(grad); });
  const Tensor y = net->forward(torch::randn({1, 4, 6, 6}));
  y.sum().backward();
  REQUIRE(gradients.size() == 2);
  CHECK(torch::equal(gradients[0], torch::ones_like(y)));  // the last call is the first to be reached
  CHECK_FALSE(torch::equal(gradients[1], torch::ones_like(y)));
}

TEST_CASE("what a backward hook throws reaches the caller of backward", "[backward_hook]") {
  nets::ConvNet net;
  sg::BackwardHook hook(net->conv2, [](const sg::Layer&, const Tensor&, const Tensor&) -> void {
    throw std::runtime_error("no gradient today");
  });
  const Tensor x = torch::randn({1, 3, 12, 12});
  CHECK_THROWS_WITH(net->forward(x).sum().backward(), ContainsSubstring("no gradient today"));
  hook.remove();
  CHECK_NOTHROW(net->forward(x).sum().backward());
}

TEST_CASE("without gradients a backward hook is not run", "[backward_hook]") {
  nets::ConvNet net;
  int calls = 0;
  sg::BackwardHook hook(net->conv2, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  const torch::NoGradGuard no_gradients;
  const Tensor x = torch::randn({1, 3, 12, 12});
  const Tensor y = net->forward(x);
  CHECK_FALSE(y.requires_grad());
  CHECK(calls == 0);
}
