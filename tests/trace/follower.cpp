#include "sightglass/trace/learning/follower.hpp"

#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "sightglass/trace/learning/module.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
namespace sgd = sightglass::detail;
using support::identical;
using torch::Tensor;

namespace {

std::shared_ptr<sgd::ModuleRunnable> runnable(const std::shared_ptr<torch::nn::LinearImpl>& layer) {
  return std::make_shared<sgd::ModuleRunnable>(layer, "fc", sgd::callable_of<torch::nn::LinearImpl>());
}

}  // namespace

TEST_CASE("what was learned is found again for the same module in the same mode", "[follower]") {
  auto& store = sgd::SignatureStore::global();
  const auto layer = std::make_shared<torch::nn::LinearImpl>(2, 2);
  const auto owner = runnable(layer);
  CHECK(store.find(*owner) == nullptr);
  const auto signature = std::make_shared<sgd::Signature>();
  signature->mode = owner->mode();
  store.put(*owner, signature);
  CHECK(store.find(*runnable(layer)) == signature);
  layer->eval();
  CHECK(store.find(*owner) == nullptr);
  layer->train();
  CHECK(store.find(*owner) == signature);
  const auto other = std::make_shared<torch::nn::LinearImpl>(2, 2);
  CHECK(store.find(*runnable(other)) == nullptr);
}

TEST_CASE("what was learned of a module is not taken for another at its address", "[follower]") {
  auto& store = sgd::SignatureStore::global();
  alignas(torch::nn::LinearImpl) static unsigned char memory[sizeof(torch::nn::LinearImpl)];
  const auto make = [&] {
    return std::shared_ptr<torch::nn::LinearImpl>(new (memory) torch::nn::LinearImpl(2, 2),
                                                  [](torch::nn::LinearImpl* layer) { layer->~LinearImpl(); });
  };
  auto layer = make();
  const auto id = runnable(layer)->id();
  const auto signature = std::make_shared<sgd::Signature>();
  signature->mode = runnable(layer)->mode();
  store.put(*runnable(layer), signature);
  CHECK(store.find(*runnable(layer)) == signature);
  layer.reset();
  layer = make();
  REQUIRE(runnable(layer)->id() == id);
  CHECK(store.find(*runnable(layer)) == nullptr);
  // The entry of the dead one goes with the next that is put.
  const std::weak_ptr<sgd::Signature> weak = signature;
  CHECK(signature.use_count() == 2);
  store.put(*runnable(layer), std::make_shared<sgd::Signature>());
  CHECK(signature.use_count() == 1);
}

TEST_CASE("a layer that keeps tensors from call to call is refused, and the remedy named", "[follower]") {
  struct RememberingImpl : torch::nn::Module {
    torch::nn::Linear fc{3, 3};
    Tensor last;
    RememberingImpl() { register_module("fc", fc); }
    Tensor forward(Tensor x) {
      x = fc->forward(x);
      if (last.defined() && last.sizes() == x.sizes()) x = x + last;
      last = x.detach() * 2;
      return x;
    }
  };
  const auto layer = std::make_shared<RememberingImpl>();
  const Tensor x = torch::randn({1, 3});
  const auto run = [&] {
    sg::Capture capture(layer);
    for (int call = 0; call < 3; ++call) layer->forward(x);
  };
  CHECK_THROWS_WITH(
      run(), ContainsSubstring("keeps tensors from one call to the next") && ContainsSubstring("sightglass::Hooked"));
}

TEST_CASE("an output that the model already has is replaced, too", "[follower]") {
  struct DetourImpl : torch::nn::Module {
    torch::nn::Linear fc{3, 3};
    DetourImpl() { register_module("fc", fc); }
    Tensor forward(Tensor x) {
      Tensor y = torch::relu(x);
      fc->forward(y);  // its result is not used
      return y;
    }
  };
  torch::manual_seed(1);
  const auto layer = std::make_shared<DetourImpl>();
  const Tensor x = torch::randn({1, 3});
  sg::Capture capture(layer);
  sg::ForwardHook hook(layer, [](const sg::Layer&, const Tensor&, const Tensor& output) { return output + 1; });
  for (int call = 0; call < 3; ++call) {
    CHECK(identical(layer->forward(x), torch::relu(x) + 1));
    CHECK(identical(capture.output(), torch::relu(x)));
  }
}

TEST_CASE("the output of a layer that runs nothing cannot be replaced, and the error names the remedy", "[follower]") {
  torch::nn::Sequential net(torch::nn::Identity(), torch::nn::Linear(3, 3));
  sg::ForwardHook hook(net, "0", [](const sg::Layer&, const Tensor&, const Tensor& output) { return output + 1; });
  CHECK_THROWS_WITH(net->forward(torch::randn({1, 3})), ContainsSubstring("cannot be replaced from outside") &&
                                                            ContainsSubstring("sightglass::Hooked") &&
                                                            ContainsSubstring("sightglass::HookPoint"));
  hook.remove();
  CHECK_NOTHROW(net->forward(torch::randn({1, 3})));
}

TEST_CASE("a layer that ran before the call left its known path is told once", "[follower]") {
  torch::manual_seed(7);
  nets::GatedNet gated;
  torch::nn::Sequential net(torch::nn::ReLU(), gated->gate, torch::nn::Tanh());
  const Tensor up = torch::rand({2, 4}) + 0.1;
  int calls = 0;
  sg::Capture relu(net, "0", sg::CaptureOptions().keep(sg::Keep::all));
  sg::Capture last(net, "2");
  sg::ForwardHook hook(net, "0", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  // relu(x) is 0 for negative x, whose sum is not above 0: the other branch of the gate. It is learned in the midst of
  // the call, from what went into its first operation.
  for (const float sign : {1.f, -1.f, -1.f, 1.f, 1.f}) {
    const int before = calls;
    const Tensor y = net->forward(up * sign);
    CHECK(calls == before + 1);
    CHECK(relu.calls().size() == static_cast<size_t>(calls));
    CHECK(identical(relu.output(), torch::relu(up * sign)));
    CHECK(identical(last.output(), y));
  }
}

TEST_CASE("a layer whose input was made before its first look at a parameter is told of it", "[follower]") {
  struct LateImpl : torch::nn::Module {
    torch::nn::Linear fc{3, 3};
    LateImpl() { register_module("fc", fc); }
    Tensor forward(Tensor x) { return fc->forward(torch::tanh(torch::relu(x) * 2)); }
  };
  torch::manual_seed(2);
  const auto layer = std::make_shared<LateImpl>();
  sg::Capture capture(layer);
  for (int call = 0; call < 3; ++call) {
    const Tensor x = torch::randn({2, 3});
    const Tensor y = layer->forward(torch::sigmoid(x));
    CHECK(identical(capture.input(), torch::sigmoid(x)));
    CHECK(identical(capture.output(), y));
  }
}

TEST_CASE("a block that begins by writing its input in place is captured with the values it was given", "[follower]") {
  struct EagerImpl : torch::nn::Module {
    torch::nn::Linear fc{3, 3};
    EagerImpl() { register_module("fc", fc); }
    Tensor forward(Tensor x) { return fc->forward(x.relu_()); }
  };
  torch::manual_seed(3);
  const auto layer = std::make_shared<EagerImpl>();
  sg::Capture capture(layer);
  const torch::NoGradGuard no_gradients;
  for (int call = 0; call < 3; ++call) {
    const Tensor x = torch::randn({2, 3});
    const Tensor given = x.clone();
    const Tensor y = layer->forward(x);
    CHECK(identical(capture.input(), given));
    CHECK(identical(capture.output(), y));
    CHECK(identical(x, torch::relu(given)));  // the model's own write took place
  }
}

TEST_CASE("layers inside of each other are followed at the same time", "[follower]") {
  torch::manual_seed(4);
  nets::NestedBlock net(2);
  const Tensor x = torch::randn({1, 4, 16, 16});
  const Tensor plain = net->forward(x);
  sg::hookable<nets::NestedBlockImpl>();
  sg::Capture whole(net);
  sg::Capture chain(net, "model");
  sg::Capture inner(net, "model.2.model.2");
  sg::Capture conv(net, "model.2.model.0");
  for (int call = 0; call < 3; ++call) {
    CHECK(identical(net->forward(x), plain));
    CHECK(identical(whole.output(), plain));
    CHECK(identical(chain.output(), plain.narrow(1, 4, 4).contiguous()));
    CHECK(conv.output().sizes() == torch::IntArrayRef({1, 4, 4, 4}));
    CHECK(inner.output().sizes() == torch::IntArrayRef({1, 8, 4, 4}));
    CHECK(identical(inner.input(), torch::relu(conv.output())));
  }
}

TEST_CASE("training and evaluation have signatures of their own", "[follower]") {
  torch::manual_seed(5);
  torch::nn::Sequential net(torch::nn::Linear(3, 3), torch::nn::Dropout(0.5), torch::nn::Linear(3, 3));
  const Tensor x = torch::randn({4, 3});
  sg::Capture dropout(net, "1");
  for (int round = 0; round < 3; ++round) {
    net->train();
    net->forward(x);
    const Tensor dropped = dropout.output();
    CHECK(((dropped == 0) | torch::isclose(dropped, dropout.input() * 2)).all().item<bool>());
    net->eval();
    net->forward(x);
    CHECK(identical(dropout.output(), dropout.input()));
  }
}

TEST_CASE("models of several hundred operations are followed", "[follower]") {
  torch::manual_seed(6);
  torch::nn::Sequential net;
  for (int i = 0; i < 200; ++i) {
    net->push_back(torch::nn::Linear(2, 2));
    net->push_back(torch::nn::Tanh());
  }
  const Tensor x = torch::randn({1, 2});
  sg::Capture last(net, "398");
  sg::Capture tanh(net, "399");
  for (int call = 0; call < 3; ++call) {
    const Tensor y = net->forward(x);
    CHECK(identical(tanh.output(), y));
    CHECK(identical(torch::tanh(last.output()), y));
  }
}
