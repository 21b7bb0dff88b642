#include "sightglass/trace/learning/followed_call.hpp"

#include <sightglass/hooks/backward_hook.hpp>
#include <sightglass/hooks/capture.hpp>
#include <sightglass/hooks/forward_hook.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/scripts.hpp"

namespace sg = sightglass;
using torch::Tensor;

TEST_CASE("a scripted call whose control flow changes is followed all the same", "[followed]") {
  torch::manual_seed(5);
  torch::jit::Module net = scripts::branching_net();
  const torch::jit::Module conv = scripts::child(net, {"block", "conv"});
  sg::Capture relu(net, "block.relu"), tanh(net, "block.tanh");
  sg::Capture convs(net, "block.conv", sg::CaptureOptions().keep(sg::Keep::all));
  size_t calls = 0;
  for (const float sign : {1.f, -1.f, -1.f, 1.f}) {
    const Tensor x = (torch::rand({1, 3, 5, 5}) + 0.1) * sign;
    const Tensor y = scripts::run(net, x);
    const Tensor first = scripts::run(conv, x);
    calls += 3;
    REQUIRE(convs.calls().size() == calls);
    CHECK(convs.calls()[calls - 3].outputs[0].allclose(first));
    const Tensor gate = sign > 0 ? first.relu() : first.tanh() - 1;
    CHECK(convs.calls()[calls - 2].inputs[0].allclose(gate));
    const Tensor third = convs.calls()[calls - 1].outputs[0];
    CHECK(y.allclose((third + x) * 2));
    CHECK((sign > 0 ? relu.output() : tanh.output()).allclose(sign > 0 ? first.relu() : first.tanh()));
  }
}

TEST_CASE("a longer loop than in the trial is followed to its end", "[followed]") {
  torch::jit::Module body = scripts::function("Add", "x + 1");
  torch::jit::Module net = scripts::make("Looping", {{"body", body}},
                                         "def forward(self, x, times: int):\n"
                                         "  for i in range(times):\n"
                                         "    x = self.body.forward(x)\n"
                                         "  return x\n");
  sg::Capture capture(net, "body", sg::CaptureOptions().keep(sg::Keep::all));
  int hooked = 0;
  sg::ForwardHook hook(net, "body", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++hooked; });
  size_t all = 0;
  for (const int64_t times : {2, 5, 1, 3}) {
    net.forward({torch::zeros({1}), times});
    all += static_cast<size_t>(times);
    REQUIRE(capture.calls().size() == all);
    CHECK(hooked == static_cast<int>(all));
    CHECK(capture.output().item<float>() == static_cast<float>(times));
  }
}

TEST_CASE("a hook replaces what a scripted layer gives in the user's own forward, and hears its gradient",
          "[followed]") {
  torch::manual_seed(6);
  torch::jit::Module net = scripts::net();
  net.eval();
  const Tensor x = torch::randn({1, 3, 6, 6}).requires_grad_();
  const Tensor plain = scripts::run(net, x);
  sg::ForwardHook zero(net, "relu",
                       [](const sg::Layer&, const Tensor&, const Tensor& y) { return torch::zeros_like(y); });
  const Tensor zeroed = scripts::run(net, x);
  CHECK_FALSE(zeroed.allclose(plain));
  zero.remove();
  CHECK(scripts::run(net, x).allclose(plain));

  Tensor told;
  sg::BackwardHook backward(net, "blocks.1", [&](const sg::Layer&, const Tensor&, const Tensor& out) { told = out; });
  scripts::run(net, x).select(1, 2).sum().backward();
  // The mean over 36 places, times the row of the linear layer.
  const Tensor row = scripts::child(net, {"fc"}).attr("weight").toTensor()[2].view({1, 4, 1, 1}) / 36;
  CHECK(told.allclose(row.expand_as(told), 1e-4, 1e-7));
}
