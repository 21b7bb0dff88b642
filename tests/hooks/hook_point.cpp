#include "sightglass/hooks/hook_point.hpp"

#include "sightglass/hooks/backward_hook.hpp"
#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "support/harness/catch.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

namespace {

/// Adds and multiplies without any layer; `here` lies between the two.
struct BareImpl : torch::nn::Module {
  sg::HookPoint here;
  BareImpl() { register_module("here", here); }
  Tensor forward(Tensor x) {
    x = here->forward(x + 1);
    x.mul_(3);
    return x;
  }
};
TORCH_MODULE(Bare);

}  // namespace

TEST_CASE("a hook point returns its very input, and owns nothing", "[hook_point]") {
  Bare net;
  const Tensor x = torch::ones({2});
  CHECK(net->here->forward(x).is_same(x));
  CHECK(net->parameters().empty());
  sg::Capture capture(net->here);
  CHECK(net->here->forward(x).is_same(x));
}

TEST_CASE("hooks look where the hook point stands", "[hook_point]") {
  Bare net;
  sg::Capture capture(net, "here");
  for (int call = 0; call < 3; ++call) {
    CHECK(torch::equal(net->forward(torch::ones({2})), torch::full({2}, 6.f)));
    CHECK(torch::equal(capture.output(), torch::full({2}, 2.f)));  // although mul_ got after it
    CHECK(torch::equal(capture.input(), torch::full({2}, 2.f)));
  }
}

TEST_CASE("a hook replaces what passes a hook point", "[hook_point]") {
  Bare net;
  sg::ForwardHook hook(net, "here", [](const sg::Layer& layer, const Tensor&, const Tensor& value) {
    CHECK(layer.name() == "here");
    return value + 10;
  });
  CHECK(torch::equal(net->forward(torch::ones({2})), torch::full({2}, 36.f)));
  hook.remove();
  CHECK(torch::equal(net->forward(torch::ones({2})), torch::full({2}, 6.f)));
}

TEST_CASE("the gradient at a hook point is that of its value, not of what is written there later", "[hook_point]") {
  Bare net;
  const Tensor x = torch::ones({2}).requires_grad_();
  sg::Capture capture(net, "here");
  net->forward(x).sum().backward();
  CHECK(torch::equal(capture.gradient(), torch::full({2}, 3.f)));
  CHECK(torch::equal(x.grad(), torch::full({2}, 3.f)));
}

TEST_CASE("the gradient of an input that passes a hook point first of all is told, in each pass once", "[hook_point]") {
  struct FirstImpl : torch::nn::Module {
    sg::HookPoint here;
    FirstImpl() { register_module("here", here); }
    Tensor forward(Tensor x) { return here->forward(x) * 4; }
  };
  const auto net = std::make_shared<FirstImpl>();
  const Tensor x = torch::ones({2}).requires_grad_();
  sg::Capture capture(net, "here");
  int calls = 0;
  sg::BackwardHook hook(net, "here", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  for (int pass = 1; pass <= 3; ++pass) {
    net->forward(x).sum().backward();
    CHECK(torch::equal(capture.gradient(), torch::full({2}, 4.f)));
    CHECK(torch::equal(x.grad(), torch::full({2}, 4.f * static_cast<float>(pass))));
    CHECK(calls == pass);
  }
}
