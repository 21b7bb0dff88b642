#include "sightglass/train/hook_callback.hpp"

#include <stdexcept>

#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/quiet.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using support::quiet;
using torch::Tensor;

namespace {

Tensor input() { return torch::randn({2, 3, 12, 12}); }

/// `steps` forward and backward passes.
template <class Net>
void train(sg::HookCallback& callback, Net& net, int steps) {
  const auto fit = callback.fit();
  for (int i = 0; i < steps; ++i) {
    const auto batch = fit.batch();
    net->forward(input()).sum().backward();
  }
}

}  // namespace

TEST_CASE("a hook callback tells what each layer with parameters gives in every n-th batch", "[hook_callback]") {
  nets::ConvNet net;
  std::vector<std::string> told;
  sg::HookCallback callback(
      net, [&](const sg::HookCall& call) { told.push_back(std::to_string(call.batch) + call.layer.name()); },
      sg::HookCallbackOptions().every(2));
  CHECK(callback.layers().size() == 3);
  train(callback, net, 4);
  CHECK(told == std::vector<std::string>{"0conv1", "0conv2", "0fc", "2conv1", "2conv2", "2fc"});
  CHECK(quiet());
}

TEST_CASE("values are those of the layer alone, detached and on the CPU", "[hook_callback]") {
  nets::ConvNet net;
  const Tensor x = input();
  const Tensor expected = support::alone([&] { return net->conv1->forward(x); });
  int calls = 0;
  sg::HookCallback callback(
      net,
      [&](const sg::HookCall& call) {
        ++calls;
        CHECK(call.index == 0);
        CHECK(identical(call.inputs.front(), x));
        CHECK(identical(call.outputs.front(), expected.detach()));
        CHECK_FALSE(call.outputs.front().requires_grad());
      },
      sg::HookCallbackOptions().layers({"conv1"}));
  callback.before_fit();
  callback.before_batch();
  net->forward(x);
  callback.after_batch();
  callback.after_fit();
  net->forward(x);
  CHECK(calls == 1);
}

TEST_CASE("values may stay part of the graph and on their device", "[hook_callback]") {
  nets::ConvNet net;
  Tensor kept;
  sg::HookCallback callback(
      net, [&](const sg::HookCall& call) { kept = call.outputs.front(); },
      sg::HookCallbackOptions().layers({"fc"}).graph(sg::Graph::connected).storage(sg::Storage::device));
  const auto fit = callback.fit();
  const auto batch = fit.batch();
  net->forward(input());
  REQUIRE(kept.requires_grad());
  CHECK(torch::autograd::grad({kept.sum()}, {net->fc->bias})[0].equal(torch::full({5}, 2.F)));
}

TEST_CASE("backward, it tells gradients with respect to outputs and inputs", "[hook_callback]") {
  nets::OutOfPlaceConvNet net;
  std::vector<Tensor> outputs;
  std::vector<Tensor> inputs;
  sg::HookCallback callback(
      net,
      [&](const sg::HookCall& call) {
        inputs.push_back(call.inputs.front());
        outputs.push_back(call.outputs.front());
      },
      sg::HookCallbackOptions().direction(sg::Direction::backward).layers({"conv1", "conv2"}));
  const auto fit = callback.fit();
  const auto batch = fit.batch();
  const Tensor loss = net->forward(input()).select(1, 0).sum();
  const Tensor first = net->first;
  const Tensor second = net->second;
  loss.backward({}, true);
  REQUIRE(outputs.size() == 2);
  const auto expected = torch::autograd::grad({loss}, {second, first});
  CHECK(identical(outputs[0], expected[0]));
  CHECK(identical(outputs[1], expected[1]));
  CHECK(inputs[0].sizes() == first.sizes());
  CHECK_FALSE(inputs[1].defined());
}

TEST_CASE("nothing is told or counted in evaluation mode", "[hook_callback]") {
  nets::ConvNet net;
  std::vector<int64_t> batches;
  sg::HookCallback callback(
      net, [&](const sg::HookCall& call) { batches.push_back(call.batch); }, sg::HookCallbackOptions().layers({"fc"}));
  const auto fit = callback.fit();
  for (const bool training : {true, false, false, true}) {
    net->train(training);
    const auto batch = fit.batch();
    CHECK(quiet() == !training);
    net->forward(input());
  }
  CHECK(batches == std::vector<int64_t>{0, 1});
}

TEST_CASE("hooks are removed at the end, or kept until they are", "[hook_callback]") {
  nets::ConvNet net;
  int calls = 0;
  const auto count = [&](const sg::HookCall&) { ++calls; };
  {
    sg::HookCallback callback(net, count, sg::HookCallbackOptions().layers({"fc"}).at_end(sg::AtEnd::keep));
    train(callback, net, 2);
    CHECK(calls == 2);
    net->eval();
    net->forward(input());
    CHECK(calls == 3);
    callback.remove();
    CHECK(quiet());
    train(callback, net, 1);
    CHECK_FALSE(quiet());
  }
  CHECK(quiet());
}

TEST_CASE("an exception in the loop or in the function leaves nothing on", "[hook_callback]") {
  nets::Fragile net;
  int calls = 0;
  bool broken = false;
  sg::HookCallback callback(net, [&](const sg::HookCall&) {
    ++calls;
    if (broken) throw std::runtime_error("the function is broken");
  });
  const auto step = [&] {
    const auto fit = callback.fit();
    const auto batch = fit.batch();
    net->forward(torch::randn({2, 4}));
  };
  step();
  CHECK(calls == 2);
  net->broken = true;
  CHECK_THROWS_WITH(step(), "the model is broken");
  CHECK(quiet());
  net->broken = false;
  broken = true;
  CHECK_THROWS_WITH(step(), "the function is broken");
  CHECK(quiet());
  // Four calls by hand: what was left on ends with the next batch, or with the callback.
  broken = false;
  net->broken = true;
  callback.before_fit();
  callback.before_batch();
  CHECK_THROWS(net->forward(torch::randn({2, 4})));
  callback.after_fit();
  CHECK(quiet());
}
