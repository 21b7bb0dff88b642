#include "sightglass/hooks/detail/watch.hpp"

#include <thread>

#include "sightglass/hooks/many.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::alone;
using support::identical;
using torch::Tensor;

namespace {

bool key_on() { return c10::impl::tls_is_dispatch_key_included(sg::detail::intercepted_key); }
bool quiet() { return sg::detail::thread_state().listener == nullptr && !key_on(); }

/// Counts how many of its kind are alive.
struct Counted final : sg::detail::Subscriber {
  static inline int alive = 0;
  int left = 0;
  Counted() { ++alive; }
  ~Counted() override { --alive; }
  void leave(const std::vector<Tensor>&, std::vector<Tensor>&) override { ++left; }
  void miss(const std::string&) override {}
};

Tensor input() { return torch::randn({4, 3, 8, 8}); }

/// Some training steps on a network with batch norm and dropout; the model's parameters, buffers and losses afterwards.
std::vector<Tensor> train(bool hooked) {
  torch::manual_seed(1);
  nets::ResNet net;
  sg::hookable<nets::BasicBlockImpl>();
  torch::optim::SGD optimiser(net->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(1e-3));
  std::vector<sg::Capture> captures;
  std::vector<sg::ForwardHook> hooks;
  std::vector<sg::BackwardHook> backward_hooks;
  int calls = 0;
  int backward_calls = 0;
  if (hooked) {
    for (const char* name :
         {"conv1", "bn1", "layer1", "layer1.1", "layer2.0.bn2", "layer2.0.shortcut", "dropout", "fc"}) {
      captures.emplace_back(net, name, sg::CaptureOptions().keep(sg::Keep::all));
      hooks.emplace_back(net, name, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
      backward_hooks.emplace_back(net, name, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++backward_calls; });
    }
  }
  std::vector<Tensor> all;
  const Tensor x = input();
  const Tensor classes = torch::tensor({0, 1, 2, 3});
  for (int step = 0; step < 4; ++step) {
    optimiser.zero_grad();
    const Tensor loss = torch::cross_entropy_loss(net->forward(x), classes);
    loss.backward();
    optimiser.step();
    all.push_back(loss.detach());
  }
  for (const Tensor& tensor : net->parameters()) {
    all.push_back(tensor.detach());
    all.push_back(tensor.grad());
  }
  for (const Tensor& tensor : net->buffers()) all.push_back(tensor);
  all.push_back(support::random_state());
  if (hooked) {
    for (const sg::Capture& capture : captures) {
      INFO(capture.name());
      CHECK(capture.calls().size() == 4);
      CHECK(capture.gradient().sizes() == capture.output().sizes());
    }
    CHECK(calls == 8 * 4);
    CHECK(backward_calls == 8 * 4);
  }
  return all;
}

}  // namespace

TEST_CASE("training steps with hooks equal those without, bit for bit", "[watch]") {
  const std::vector<Tensor> plain = train(false);
  const std::vector<Tensor> hooked = train(true);
  REQUIRE(plain.size() == hooked.size());
  for (size_t i = 0; i < plain.size(); ++i) {
    INFO("tensor " << i);
    CHECK(identical(plain[i], hooked[i]));
  }
  CHECK(quiet());
}

TEST_CASE("nothing of a model changes in evaluation: values, names, flags, gradients, random state, files", "[watch]") {
  torch::manual_seed(2);
  nets::ResNet net;
  net->eval();
  net->parameters()[0].set_requires_grad(false);
  const Tensor x = input();
  net->forward(x).sum().backward();  // so that there are gradients which may not change
  const support::Snapshot before(*net);
  {
    sg::Captures all(net, sg::leaves());
    sg::Capture block(net, "layer1.0");
    CHECK(before.difference(support::Snapshot(*net)) == "");
    for (int call = 0; call < 3; ++call) net->forward(x);
    CHECK(before.difference(support::Snapshot(*net)) == "");
  }
  CHECK(before.difference(support::Snapshot(*net)) == "");
}

TEST_CASE("one forward pass in training mode leaves a hooked model as it leaves an unhooked one", "[watch]") {
  torch::manual_seed(3);
  nets::ResNet plain, hooked;
  {
    const torch::NoGradGuard no_gradients;
    for (size_t i = 0; i < plain->parameters().size(); ++i) hooked->parameters()[i].copy_(plain->parameters()[i]);
  }
  sg::hookable<nets::BasicBlockImpl>();
  const Tensor x = input();
  const auto run = [&](nets::ResNet& net) {
    torch::manual_seed(4);
    return net->forward(x);
  };
  sg::Captures all(hooked, [](const sg::Layer& layer) { return layer.place().problem.empty(); });
  REQUIRE(all.size() > 15);
  const Tensor expected = run(plain);
  const Tensor state = support::random_state();
  CHECK(identical(run(hooked), expected));
  CHECK(identical(support::random_state(), state));
  for (size_t i = 0; i < plain->buffers().size(); ++i) {
    INFO(plain->named_buffers()[i].key());
    CHECK(identical(plain->buffers()[i], hooked->buffers()[i]));
  }
  CHECK(hooked->named_buffers()["bn1.num_batches_tracked"].item<int64_t>() == 1);
}

TEST_CASE("a batch norm in training mode is captured when it alone is watched", "[watch]") {
  torch::manual_seed(5);
  nets::ResNet net;
  sg::Capture norm(net, "layer1.0.bn1");
  const auto module = std::dynamic_pointer_cast<torch::nn::BatchNorm2dImpl>(net->named_modules()["layer1.0.bn1"]);
  for (int call = 1; call <= 3; ++call) {
    net->forward(input());
    const Tensor x = norm.input();
    const Tensor expected = (x - x.mean({0, 2, 3}, true)) / torch::sqrt(x.var({0, 2, 3}, false, true) + 1e-5);
    CHECK(torch::allclose(norm.output(), expected, 1e-4, 1e-5));  // weight 1, bias 0
    CHECK(module->num_batches_tracked.item<int64_t>() == call);
  }
}

TEST_CASE("parameters looked at and changed between calls are not calls of their layers", "[watch]") {
  torch::manual_seed(6);
  nets::ConvNet net;
  const Tensor x = torch::randn({2, 3, 12, 12});
  torch::optim::Adam optimiser(net->parameters(), torch::optim::AdamOptions(0.01).weight_decay(0.1));
  int calls = 0;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  sg::Capture capture(net->conv2, sg::CaptureOptions().keep(sg::Keep::all));
  std::vector<Tensor> average;
  for (const Tensor& parameter : net->parameters()) average.push_back(parameter.detach().clone());
  for (size_t step = 1; step <= 4; ++step) {
    Tensor loss = net->forward(x).pow(2).sum();
    for (const Tensor& parameter : net->parameters()) loss = loss + parameter.pow(2).sum();  // an L2 penalty
    optimiser.zero_grad();
    loss.backward();
    torch::nn::utils::clip_grad_norm_(net->parameters(), 1.);
    optimiser.step();
    {
      const torch::NoGradGuard no_gradients;  // a moving average of the weights, too
      for (size_t i = 0; i < average.size(); ++i) average[i].mul_(0.9).add_(net->parameters()[i], 0.1);
    }
    CHECK(calls == static_cast<int>(step));
    CHECK(capture.calls().size() == step);
    CHECK(capture.gradient().defined());
  }
}

TEST_CASE("a look at a parameter right before the model runs hides nothing", "[watch]") {
  torch::manual_seed(7);
  torch::nn::Sequential net(torch::nn::Linear(3, 4), torch::nn::Tanh(), torch::nn::Linear(4, 2));
  const Tensor x = torch::randn({5, 3});
  sg::Capture last(net, "2", sg::CaptureOptions().keep(sg::Keep::all));
  for (size_t call = 1; call <= 4; ++call) {
    net->parameters()[2].norm();
    const Tensor y = net->forward(x);
    REQUIRE(last.calls().size() == call);
    CHECK(identical(last.output(), y));
    torch::matmul(y, net->parameters()[2]);
  }
}

TEST_CASE("captures work in inference mode and under autocast, when made before", "[watch]") {
  torch::manual_seed(8);
  nets::ConvNet net;
  const Tensor x = torch::randn({2, 3, 12, 12});
  const Tensor expected = net->conv1->forward(x).detach();
  sg::Capture capture(net->conv1);
  {
    const c10::InferenceMode guard;
    net->forward(x);
    CHECK(torch::equal(capture.output(), expected));  // although relu_ came after it
  }
  net->forward(x);
  CHECK(identical(capture.output(), expected));
}

TEST_CASE("a guard that dies inside of an inference or autocast scope leaves nothing on", "[watch]") {
  nets::ConvNet net;
  const Tensor x = torch::randn({2, 3, 12, 12});
  const Tensor plain = net->forward(x);
  auto guard = std::make_unique<sg::Capture>(net->conv1);
  {
    const c10::InferenceMode inference;
    net->forward(x);
    guard.reset();
    CHECK(quiet());
  }
  // The scope's end has put the key back; the first operation sees that nobody listens.
  CHECK(identical(net->forward(x), plain));
  CHECK(quiet());

  // As autocast scopes do: they switch a key of the thread on and put its state back.
  guard = std::make_unique<sg::Capture>(net->conv1);
  {
    const c10::impl::IncludeDispatchKeyGuard autocast(c10::DispatchKey::AutocastCPU);
    net->forward(x);
    guard.reset();
    CHECK(quiet());
  }
  CHECK(identical(net->forward(x), plain));
  CHECK(quiet());
}

TEST_CASE("a guard born inside of an inference scope ends with that scope, and the accessor says so", "[watch]") {
  nets::ConvNet net;
  const Tensor x = torch::randn({2, 3, 12, 12});
  std::unique_ptr<sg::Capture> capture;
  {
    const c10::InferenceMode inference;
    capture = std::make_unique<sg::Capture>(net->conv1);
  }
  net->forward(x);
  CHECK_THROWS_WITH(capture->output(), ContainsSubstring("InferenceMode") && ContainsSubstring("make it before"));
  // The next guard wakes both.
  sg::Capture other(net->conv2);
  net->forward(x);
  CHECK(other.output().defined());
  CHECK(capture->output().defined());
}

TEST_CASE("backward and optimiser steps run with a guard alive", "[watch]") {
  torch::manual_seed(9);
  nets::ConvNet net;
  torch::optim::SGD optimiser(net->parameters(), 0.1);
  sg::Capture capture(net->conv1);
  const Tensor x = torch::randn({2, 3, 12, 12});
  for (int step = 0; step < 3; ++step) {
    optimiser.zero_grad();
    net->forward(x).select(1, 0).sum().backward();
    const Tensor kept = capture.output().clone();
    optimiser.step();
    CHECK(identical(capture.output(), kept));
    CHECK(capture.calls().size() == 1);
  }
}

TEST_CASE("threads that share a model do not see each other's captures", "[watch]") {
  torch::manual_seed(10);
  nets::ConvNet net;
  const auto work = [&](int64_t batch, bool& right) {
    const Tensor x = torch::full({batch, 3, 12, 12}, static_cast<double>(batch));
    const torch::NoGradGuard no_gradients;
    const Tensor expected = net->conv1->forward(x);
    sg::Capture capture(net->conv1, sg::CaptureOptions().keep(sg::Keep::all));
    for (int call = 0; call < 20; ++call) net->forward(x);
    right = capture.calls().size() == 20;
    for (const auto& call : capture.calls()) right = right && identical(call.outputs[0], expected);
  };
  bool a = false;
  bool b = false;
  std::thread first([&] { work(1, a); });
  std::thread second([&] { work(3, b); });
  sg::Capture here(net->conv1);
  first.join();
  second.join();
  CHECK(a);
  CHECK(b);
  CHECK_THROWS_WITH(here.output(), ContainsSubstring("has not run"));
}

TEST_CASE("threads with models of their own hook them at the same time", "[watch]") {
  const auto work = [](bool& right) {
    torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3), torch::nn::ReLU(), torch::nn::Conv2d(4, 2, 3));
    const Tensor x = torch::rand({1, 3, 8, 8});
    right = true;
    for (int round = 0; round < 10; ++round) {
      sg::Capture relu(net, "1");
      sg::Capture last(net, "2");
      const Tensor y = net->forward(x);
      y.sum().backward();
      right =
          right && identical(last.output(), y) && relu.gradient().defined() && relu.output().min().item<float>() >= 0;
    }
    right = right && quiet();
  };
  bool a = false;
  bool b = false;
  std::thread first([&] { work(a); });
  std::thread second([&] { work(b); });
  first.join();
  second.join();
  CHECK(a);
  CHECK(b);
}

TEST_CASE("a watch holds its subscriber until it is removed, and no longer", "[watch]") {
  nets::ConvNet net;
  {
    const auto subscriber = std::make_shared<Counted>();
    sg::detail::Watch watch(subscriber, net->conv1);
    CHECK(watch.active());
    net->forward(input().repeat({1, 1, 2, 2}));
    CHECK(subscriber->left == 1);
    watch.remove();
    watch.remove();
    CHECK_FALSE(watch.active());
    CHECK(subscriber.use_count() == 1);
    net->forward(input().repeat({1, 1, 2, 2}));
    CHECK(subscriber->left == 1);
  }
  CHECK(Counted::alive == 0);
}

TEST_CASE("living objects are back at zero, however guards leave", "[watch]") {
  nets::ConvNet net;
  const Tensor x = torch::randn({1, 3, 12, 12});
  {
    std::vector<sg::detail::Watch> watches;
    for (int i = 0; i < 3; ++i) watches.emplace_back(std::make_shared<Counted>(), net->conv1);
    watches.emplace_back(std::make_shared<Counted>(), net->conv2);
    CHECK(Counted::alive == 4);
    net->forward(x);
    watches.erase(watches.begin() + 1);
    CHECK(Counted::alive == 3);
    watches[0] = std::move(watches[1]);
    CHECK(Counted::alive == 2);
    std::thread([moved = std::move(watches.back())]() mutable { moved.remove(); }).join();
    net->forward(x);
    CHECK(Counted::alive == 1);
  }
  CHECK(Counted::alive == 0);
  CHECK(quiet());
}

TEST_CASE("a watch that cannot be is refused before anything is switched on", "[watch]") {
  nets::Transformer net;
  const auto make = [&] { sg::detail::Watch watch(std::make_shared<Counted>(), sg::layer(net, "Layers.1")); };
  CHECK_THROWS_WITH(make(), ContainsSubstring("\"Layers.1\"") && ContainsSubstring("cannot be watched from outside"));
  CHECK(quiet());
  CHECK(Counted::alive == 0);
}

TEST_CASE("a watch by marks is told by marks only", "[watch]") {
  nets::ConvNet net;
  const auto subscriber = std::make_shared<Counted>();
  sg::detail::Watch watch(subscriber, net->conv1, sg::detail::Watch::By::marks);
  net->forward(torch::randn({1, 3, 12, 12}));
  CHECK(subscriber->left == 0);
  std::vector<Tensor> values{torch::ones({1})};
  sg::detail::announce(static_cast<torch::nn::Module*>(net->conv1.get()), sg::detail::Side::begin, values);
  sg::detail::announce(static_cast<torch::nn::Module*>(net->conv1.get()), sg::detail::Side::end, values);
  CHECK(subscriber->left == 1);
}
