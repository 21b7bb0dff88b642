#include <random>

#include "sightglass/sightglass.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;
using torch::Tensor;
using namespace torch::nn;

namespace {

struct BackImpl : Module {
  BackImpl()
      : first(register_module("first", Conv2d(Conv2dOptions(3, 8, 3).padding(1)))),
        last(register_module("last", Conv2d(Conv2dOptions(8, 8, 3).padding(1)))) {}
  Tensor forward(Tensor x) { return last(torch::relu(first(x))); }
  Conv2d first, last;
};
TORCH_MODULE(Back);

/// Runs the first part of `back`, and then a layer of its own that is like the second.
struct UserImpl : Module {
  UserImpl()
      : back(register_module("back", Back())),
        own(register_module("own", Conv2d(Conv2dOptions(8, 8, 3).padding(1)))),
        fc(register_module("fc", Linear(8, 2))) {}
  Tensor forward(Tensor x) {
    if (runs_back) return fc(back(x).mean({2, 3}));
    return fc(own(torch::relu(back->first(x))).mean({2, 3}));
  }
  Back back;
  Conv2d own;
  Linear fc;
  bool runs_back = false;
};
TORCH_MODULE(User);

/// Squeeze-and-excitation: begins with a layer without parameters.
struct SEImpl : Module {
  SEImpl() {
    register_module("pool", pool);
    register_module("fc", fc);
    register_module("gate", gate);
  }
  Tensor forward(Tensor x) {
    Tensor y = pool(x);
    y = y.squeeze(-1);
    y = fc(y);
    return x * gate(y).unsqueeze(-1);
  }
  AdaptiveAvgPool1d pool{1};
  Linear fc{4, 4};
  Sigmoid gate;
};
TORCH_MODULE(SE);
struct SENetImpl : Module {
  SENetImpl() {
    register_module("conv", conv);
    register_module("se", se);
  }
  Tensor forward(Tensor x) { return se(conv(x)); }
  Conv1d conv{Conv1dOptions(3, 4, 3)};
  SE se;
};
TORCH_MODULE(SENet);

/// Takes an embedding beside its input, and reads it late.
struct ConditionedImpl : Module {
  ConditionedImpl() {
    register_module("norm", norm);
    register_module("conv", conv);
    register_module("embed", embed);
  }
  Tensor forward(Tensor x, Tensor embedding) {
    Tensor h = conv(torch::silu(norm(x)));
    h = torch::tanh(h * 2 + 1);
    return h + embed(torch::silu(embedding)).unsqueeze(-1);
  }
  GroupNorm norm{GroupNormOptions(2, 4)};
  Conv1d conv{Conv1dOptions(4, 4, 3).padding(1)};
  Linear embed{6, 4};
};
TORCH_MODULE(Conditioned);
struct DiffusionImpl : Module {
  DiffusionImpl() {
    register_module("time", time);
    register_module("in", in);
    register_module("block", block);
  }
  Tensor forward(Tensor x) {
    const Tensor embedding = torch::relu(time(x.mean(2)));
    Tensor y = in(x);
    for (int i = 0; i < 6; ++i) y = torch::tanh(y * 1.5 - 0.5);  // much between the embedding and the block
    return block(y, embedding);
  }
  Linear time{3, 6};
  Conv1d in{Conv1dOptions(3, 4, 1)};
  Conditioned block;
};
TORCH_MODULE(Diffusion);

/// Scale by a number: prints like any other, but is not.
struct ScaledImpl : Module {
  explicit ScaledImpl(double factor) : by(factor) {}
  Tensor forward(Tensor x) { return x * by; }
  double by;
};
TORCH_MODULE(Scaled);
struct ScalesImpl : Module {
  ScalesImpl() {
    register_module("fc", fc);
    register_module("two", two);
    register_module("three", three);
    register_module("also_three", also_three);
  }
  Tensor forward(Tensor x) { return also_three(two(fc(x))); }
  Linear fc{4, 4};
  Scaled two{2.0}, three{3.0}, also_three{3.0};
};
TORCH_MODULE(Scales);

struct DropPathImpl : Module {  // stochastic depth with the C++ library's generator
  DropPathImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    const bool keep = std::uniform_real_distribution<double>(0, 1)(engine) < 0.5;
    return keep ? x + fc(x) : fc(x);
  }
  Linear fc{4, 4};
  std::mt19937 engine{1};
};
TORCH_MODULE(DropPath);
struct WarmImpl : Module {  // a schedule by calls
  WarmImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) { return fc(x) * (rate / ++calls); }
  Linear fc{4, 4};
  int calls = 0;
  double rate = 1.0;
};
TORCH_MODULE(Warm);
struct CountsActivationImpl : Module {
  Tensor forward(Tensor x) { return torch::relu(x) * (1.0 / ++calls); }
  int calls = 0;
};
TORCH_MODULE(CountsActivation);
struct OuterImpl : Module {  // the state is that of a typed child, one of them without parameters
  OuterImpl() {
    register_module("inner", inner);
    register_module("act", act);
  }
  Tensor forward(Tensor x) { return act(inner(x)); }
  Warm inner;
  CountsActivation act;
};
TORCH_MODULE(Outer);
struct LoggingImpl : Module {  // a counter beside a tensor that it keeps
  LoggingImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    last = fc(x) * (1.0 / static_cast<double>(++calls));
    return last;
  }
  Linear fc{4, 4};
  Tensor last;
  int64_t calls = 0;
};
TORCH_MODULE(Logging);
struct CachedImpl : Module {  // keeps a table for the length that it saw
  CachedImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    const Tensor y = fc(x);
    if (!table.defined()) table = torch::arange(x.size(0)).view({-1, 1}).to(torch::kFloat);
    return y + table;
  }
  Linear fc{4, 4};
  Tensor table;
};
TORCH_MODULE(Cached);

/// The model with a capture computes what it computes without, five times.
template <class Block>
void check_unchanged(bool by_handle) {
  torch::manual_seed(0);
  Block watched_block;
  Sequential watched(Linear(4, 4), watched_block, Linear(4, 2));
  torch::manual_seed(0);
  Block plain_block;
  Sequential plain(Linear(4, 4), plain_block, Linear(4, 2));
  const Tensor x = torch::randn({2, 4});
  const torch::NoGradGuard no_gradients;
  sg::Capture capture = by_handle ? sg::Capture(watched_block) : sg::Capture(watched, "1");
  for (int run = 0; run < 5; ++run) {
    INFO("run " << run);
    CHECK(torch::equal(plain->forward(x), watched->forward(x)));
    CHECK(capture.output().sizes() == x.sizes());
  }
}

}  // namespace

TEST_CASE("a layer elsewhere with the same operations is not taken for one that never ran", "[cases]") {
  User net;
  net->eval();
  const Tensor x = torch::rand({1, 3, 16, 16});
  sg::Capture back(net->back);
  sg::Capture first(net->back->first);
  int calls = 0;
  sg::ForwardHook hook(net->back, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  for (int run = 0; run < 4; ++run) {
    net->forward(x);
    CHECK_THROWS_WITH(back.output(), ContainsSubstring("has not run"));
    CHECK(torch::equal(first.output(), support::alone([&] { return net->back->first->forward(x); })));
  }
  CHECK(calls == 0);
  CHECK_THROWS_AS(sg::explain(net, x, net->back, sg::GradCam{}), c10::Error);
  sg::hookable<BackImpl>();
  CHECK(sg::summary(net, x)["back"].calls == 0);
  CHECK(sg::summary(net, x)["own"].calls == 1);
  // It is found once it does run.
  net->runs_back = true;
  net->forward(x);
  CHECK(torch::equal(back.output(), support::alone([&] { return net->back->forward(x); })));
  CHECK(calls == 1);
}

TEST_CASE("a layer whose parameters were replaced after it was learned is found again", "[cases]") {
  const auto layer = std::make_shared<LinearImpl>(3, 2);
  const Tensor x = torch::randn({1, 3});
  sg::Capture capture(layer);
  layer->forward(x);
  layer->to(torch::kDouble);
  layer->forward(x.to(torch::kDouble));
  CHECK(capture.output().scalar_type() == torch::kDouble);
  layer->weight.set_data(torch::ones({2, 3}));
  layer->bias.set_data(torch::zeros({2}));
  layer->forward(x);
  CHECK(torch::allclose(capture.output(), x.sum(1, true).expand({1, 2})));
}

TEST_CASE("a layer without parameters at the start of its block is found at every forward", "[cases]") {
  sg::hookable<SEImpl>();
  for (const bool train : {false, true}) {
    SENet net;
    net->train(train);
    sg::Capture pool(net, "se.pool");
    sg::Capture whole(net, "se");
    for (int call = 0; call < 3; ++call) {
      const Tensor x = torch::randn({2, 3, 9});
      if (train) {
        net->forward(x).sum().backward();
      } else {
        const torch::NoGradGuard no_gradients;
        net->forward(x);
      }
      CHECK(torch::allclose(pool.output(), whole.input().mean(2, true)));
      CHECK(torch::equal(pool.input(), whole.input()));
    }
  }
  SENet net;
  net->eval();
  const torch::NoGradGuard no_gradients;
  for (int call = 0; call < 3; ++call) {
    const sg::Summary summary = sg::summary(net, torch::randn({2, 3, 9}));
    CHECK(summary["se.pool"].shape == std::vector<int64_t>{2, 4, 1});
  }
}

TEST_CASE("a block with two inputs is found where the second was made long before", "[cases]") {
  torch::manual_seed(1);
  Diffusion net;
  sg::Capture block(net->block);
  for (int call = 0; call < 2; ++call) {
    const Tensor x = torch::randn({2, 3, 5});
    const Tensor y = net->forward(x);
    CHECK(torch::equal(block.output(), y));
    REQUIRE(block.inputs().size() == 2);
    CHECK(torch::equal(block.inputs()[1], torch::relu(net->time->forward(x.mean(2)))));
  }
}

TEST_CASE("twins are told by what they do: operations and arguments", "[cases]") {
  sg::hookable<ScaledImpl, ScalesImpl>();
  Scales net;
  const Tensor x = torch::randn({2, 4});
  sg::Capture two(net, "two");
  sg::Capture three(net, "three");
  net->forward(x);
  CHECK(torch::equal(two.output(), net->fc->forward(x) * 2));
  CHECK_THROWS_WITH(three.output(), ContainsSubstring("twin \"also_three\""));
}

TEST_CASE("state that is no tensor is as if nobody had looked", "[cases]") {
  for (const bool by_handle : {false, true}) {
    INFO("by handle " << by_handle);
    check_unchanged<DropPath>(by_handle);
    check_unchanged<Warm>(by_handle);
    check_unchanged<Outer>(by_handle);
  }
  // A child without parameters is run on trial too.
  sg::hookable<OuterImpl, WarmImpl, CountsActivationImpl>();
  torch::manual_seed(0);
  Outer watched;
  torch::manual_seed(0);
  Outer plain;
  sg::Capture act(watched, "act");
  const Tensor x = torch::randn({2, 4});
  for (int run = 0; run < 3; ++run) {
    CHECK(torch::equal(plain->forward(x), watched->forward(x)));
    CHECK(act.output().defined());
  }
}

TEST_CASE("a counter beside a tensor that is kept is refused, and the remedy works", "[cases]") {
  Logging net;
  const auto run = [&] {
    sg::Capture capture(net);
    net->forward(torch::randn({2, 4}));
  };
  CHECK_THROWS_WITH(run(), ContainsSubstring("keeps numbers") && ContainsSubstring("sightglass::Hooked<"));
  sg::Hooked<Logging> hooked;
  sg::Capture capture(hooked);
  hooked->forward(torch::randn({2, 4}));
  CHECK(hooked->calls == 1);
  CHECK(capture.output().defined());
}

TEST_CASE("a block that keeps tensors can be hooked after one plain run at this size", "[cases]") {
  const Tensor x = torch::zeros({5, 4});
  Cached fresh;
  const auto run = [&] {
    sg::Capture capture(fresh);
    fresh->forward(x);
    fresh->forward(x);
  };
  CHECK_THROWS_WITH(run(), ContainsSubstring("after one plain run at this size"));
  Cached warm;
  const Tensor expected = warm->forward(x);
  sg::Capture capture(warm);
  for (int call = 0; call < 3; ++call) {
    CHECK(torch::equal(warm->forward(x), expected));
    CHECK(torch::equal(capture.output(), expected));
  }
}
