#include "sightglass/hooks/forward_hook.hpp"

#include <stdexcept>
#include <thread>

#include "sightglass/hooks/capture.hpp"
#include "sightglass/trace/tracker.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::alone;
using support::identical;
using torch::Tensor;

namespace {

/// Nobody listens on this thread, and the key is off.
bool quiet() {
  return sg::detail::thread_state().listener == nullptr && !sg::detail::thread_state().inside &&
         !c10::impl::tls_is_dispatch_key_included(sg::detail::intercepted_key);
}

Tensor input() { return torch::randn({2, 3, 12, 12}); }

}  // namespace

TEST_CASE("a forward hook is told of the layer, its input and its output, once a call", "[forward_hook]") {
  torch::manual_seed(1);
  nets::ConvNet net;
  const Tensor x = input();
  int calls = 0;
  sg::ForwardHook hook(net, "conv1", [&](const sg::Layer& layer, const Tensor& given, const Tensor& output) {
    ++calls;
    CHECK(layer.name() == "conv1");
    CHECK(layer.module() == net->conv1.ptr());
    CHECK(identical(given, x));
    CHECK(identical(output, net->conv1->forward(x)));  // unwatched, as all that a hook does
  });
  for (int call = 1; call <= 3; ++call) {
    net->forward(x);
    CHECK(calls == call);
  }
}

TEST_CASE("a hook for several inputs and outputs is given vectors", "[forward_hook]") {
  torch::manual_seed(2);
  nets::UNet net;
  nets::Recurrent recurrent;
  std::vector<size_t> inputs, outputs;
  const auto count = [&](const sg::Layer&, const std::vector<Tensor>& in, const std::vector<Tensor>& out) {
    inputs.push_back(in.size());
    outputs.push_back(out.size());
  };
  sg::ForwardHook up(net->up1, count);
  net->forward(torch::randn({1, 3, 8, 8}));
  sg::ForwardHook lstm(recurrent->lstm, count);
  recurrent->forward(torch::randn({2, 5, 6}));
  CHECK(inputs == std::vector<size_t>{2, 1});
  CHECK(outputs == std::vector<size_t>{1, 3});
}

TEST_CASE("what a hook returns takes the place of the output", "[forward_hook]") {
  torch::manual_seed(3);
  torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3), torch::nn::Flatten(), torch::nn::Linear(400, 2));
  const Tensor x = input();
  const Tensor plain = net->forward(x);
  const Tensor doubled = net[0]->as<torch::nn::Conv2d>()->forward(x) * 2;
  const Tensor expected = net[2]->as<torch::nn::Linear>()->forward(doubled.flatten(1));
  sg::ForwardHook hook(net, "0", [](const sg::Layer&, const Tensor&, const Tensor& output) { return output * 2; });
  for (int call = 0; call < 3; ++call) {
    CHECK(identical(net->forward(x), expected));
  }
  CHECK_FALSE(torch::allclose(net->forward(x), plain));
  hook.remove();
  CHECK(identical(net->forward(x), plain));
}

TEST_CASE("an output is replaced although operations in place follow the layer", "[forward_hook]") {
  torch::manual_seed(4);
  nets::ConvNet net;
  const Tensor x = input();
  Tensor given;
  sg::ForwardHook hook(net->conv1,
                       [](const sg::Layer&, const Tensor&, const Tensor& out) { return torch::zeros_like(out); });
  sg::Capture next(net->conv2);
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(torch::equal(next.input(), torch::zeros_like(next.input())));
  }
}

TEST_CASE("the output of a layer that works in place is replaced as well", "[forward_hook]") {
  torch::manual_seed(5);
  torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3), torch::nn::ReLU(torch::nn::ReLUOptions(true)),
                            torch::nn::Conv2d(4, 2, 3));
  const Tensor x = input();
  const torch::NoGradGuard no_gradients;
  const Tensor half = torch::relu(net[0]->as<torch::nn::Conv2d>()->forward(x)) * 0.5;
  const Tensor expected = net[2]->as<torch::nn::Conv2d>()->forward(half);
  sg::ForwardHook hook(net, "1", [&](const sg::Layer&, const Tensor&, const Tensor& output) { return output * 0.5; });
  for (int call = 0; call < 3; ++call) CHECK(identical(net->forward(x), expected));
}

TEST_CASE("gradients flow through a replaced output", "[forward_hook]") {
  torch::manual_seed(6);
  torch::nn::Sequential net(torch::nn::Linear(3, 4), torch::nn::Linear(4, 1));
  const Tensor x = torch::randn({2, 3});
  net->forward(x).sum().backward();
  const Tensor plain = net->parameters()[0].grad().clone();
  net->zero_grad();
  sg::ForwardHook hook(net, "0", [](const sg::Layer&, const Tensor&, const Tensor& output) { return output * 3; });
  net->forward(x).sum().backward();
  CHECK(torch::allclose(net->parameters()[0].grad(), plain * 3));
}

TEST_CASE("a replacement without history cuts the graph, at a layer that works in place too", "[forward_hook]") {
  torch::manual_seed(19);
  for (const bool in_place : {false, true}) {
    INFO((in_place ? "in place" : "out of place"));
    torch::nn::Sequential net(torch::nn::Linear(3, 4), torch::nn::ReLU(torch::nn::ReLUOptions(in_place)),
                              torch::nn::Linear(4, 1));
    sg::ForwardHook hook(
        net, "1", [](const sg::Layer&, const Tensor&, const Tensor& output) { return torch::ones_like(output); });
    for (int call = 0; call < 2; ++call) {
      net->zero_grad();
      net->forward(torch::randn({2, 3})).sum().backward();
      CHECK(torch::equal(net->parameters()[2].grad(), torch::full({1, 4}, 2.f)));  // two rows of ones
      const Tensor before = net->parameters()[0].grad();
      CHECK((!before.defined() || before.abs().max().item<float>() == 0));
    }
  }
}

TEST_CASE("all outputs of a tuple can be replaced, and a wrong number of them is refused", "[forward_hook]") {
  torch::manual_seed(7);
  nets::Recurrent net;
  const Tensor x = torch::randn({2, 5, 6});
  {
    sg::ForwardHook hook(net->gru, [](const sg::Layer&, const std::vector<Tensor>&, const std::vector<Tensor>& out) {
      return std::vector<Tensor>(out.size() + 1);
    });
    CHECK_THROWS_WITH(net->forward(x), ContainsSubstring("return all of them, or nothing"));
  }
  CHECK_NOTHROW(net->forward(x));
}

TEST_CASE("several hooks on one layer run in the order in which they were made, each seeing the last one's output",
          "[forward_hook]") {
  torch::manual_seed(8);
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::Linear(2, 2));
  std::string order;
  sg::ForwardHook a(net, "0", [&](const sg::Layer&, const Tensor&, const Tensor& out) {
    order += "a";
    return torch::ones_like(out);
  });
  sg::ForwardHook b(net, "0", [&](const sg::Layer&, const Tensor&, const Tensor& out) {
    order += "b";
    CHECK(torch::equal(out, torch::ones_like(out)));
  });
  net->forward(torch::randn({1, 2}));
  CHECK(order == "ab");
}

TEST_CASE("inner layers are told before those around them", "[forward_hook]") {
  torch::manual_seed(9);
  nets::ResNet net;
  net->eval();
  std::vector<std::string> order;
  const auto note = [&](const sg::Layer& layer, const Tensor&, const Tensor&) { order.push_back(layer.name()); };
  sg::ForwardHook outer(net, "layer1", note);
  sg::ForwardHook block(net, "layer1.1", note);
  sg::ForwardHook inner(net, "layer1.1.conv2", note);
  sg::ForwardHook first(net, "layer1.0", note);
  for (int call = 0; call < 3; ++call) {
    order.clear();
    net->forward(input());
    CHECK(order == std::vector<std::string>{"layer1.0", "layer1.1.conv2", "layer1.1", "layer1"});
  }
}

TEST_CASE("a hook around a layer sees what an inner hook put there", "[forward_hook]") {
  torch::manual_seed(10);
  nets::BottleneckNet net;
  sg::hookable<nets::BottleneckImpl>();
  sg::ForwardHook inner(net, "bottleneck_1.expand",
                        [](const sg::Layer&, const Tensor&, const Tensor& out) { return torch::full_like(out, -100); });
  sg::Capture block(net, "bottleneck_1");
  const Tensor x = torch::rand({1, 4, 5, 5});
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(torch::equal(block.output(), torch::zeros_like(block.output())));  // relu(-100 + x)
  }
}

TEST_CASE("a sequential whose last child's output was replaced tells of the replacement", "[forward_hook]") {
  torch::manual_seed(18);
  torch::nn::Sequential net(torch::nn::Linear(2, 2), torch::nn::Linear(2, 2));
  sg::ForwardHook inner(net, "1",
                        [](const sg::Layer&, const Tensor&, const Tensor& out) { return torch::ones_like(out); });
  sg::Capture outer(net);
  for (int call = 0; call < 3; ++call) {
    CHECK(torch::equal(net->forward(torch::randn({1, 2})), torch::ones({1, 2})));
    CHECK(torch::equal(outer.output(), torch::ones({1, 2})));
  }
}

TEST_CASE("a hook's own computations are not watched, even on the same model", "[forward_hook]") {
  torch::manual_seed(11);
  nets::ConvNet net;
  const Tensor x = input();
  int calls = 0;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) {
    ++calls;
    CHECK_FALSE(c10::impl::tls_is_dispatch_key_included(sg::detail::intercepted_key));
    net->forward(x);  // would not end if it were watched
  });
  net->forward(x);
  CHECK(calls == 1);
  net->forward(x);
  CHECK(calls == 2);
}

TEST_CASE("an exception from a hook reaches the caller and leaves the model and the next call fine", "[forward_hook]") {
  torch::manual_seed(12);
  nets::ConvNet net;
  const Tensor x = input();
  const Tensor plain = net->forward(x);
  const support::Snapshot before(*net);
  bool angry = true;
  int calls = 0;
  sg::Capture capture(net->conv2);
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) {
    ++calls;
    if (angry) throw std::runtime_error("a hook's own complaint");
  });
  for (int call = 0; call < 2; ++call) CHECK_THROWS_WITH(net->forward(x), "a hook's own complaint");
  CHECK(calls == 2);
  CHECK_FALSE(sg::detail::thread_state().inside);
  CHECK_THROWS_WITH(capture.output(), ContainsSubstring("has not run"));
  angry = false;
  CHECK(identical(net->forward(x), plain));
  CHECK(calls == 3);
  CHECK(identical(capture.output(), alone([&] { return net->conv2->forward(capture.input()); })));
  CHECK(before.difference(support::Snapshot(*net)) == "");
}

TEST_CASE("a forward pass that throws midway does not disturb the next one", "[forward_hook]") {
  torch::manual_seed(13);
  nets::Fragile net;
  const Tensor x = torch::randn({2, 4});
  sg::Capture whole(net);
  sg::Capture first(net->first);
  sg::Capture second(net->second);
  net->broken = true;
  for (int call = 0; call < 2; ++call) {
    CHECK_THROWS_WITH(net->forward(x), ContainsSubstring("the model is broken"));
    CHECK(identical(first.output(), alone([&] { return net->first->forward(x); })));
    net->broken = false;
    const Tensor y = net->forward(x);
    CHECK(identical(whole.output(), y));
    CHECK(identical(second.output(), y));
    net->broken = true;
  }
}

TEST_CASE("a shape error inside of a watched layer reaches the caller, and the next call is fine", "[forward_hook]") {
  torch::manual_seed(14);
  nets::ResNet net;
  net->eval();
  sg::Capture block(net, "layer1.0");
  const Tensor y = net->forward(input());
  const Tensor expected = block.output();
  CHECK_THROWS_AS(net->forward(torch::randn({2, 5, 12, 12})), c10::Error);
  CHECK_FALSE(sg::detail::thread_state().inside);
  const Tensor x = input();
  CHECK(identical(net->forward(x), net->forward(x)));
  CHECK(block.output().sizes() == expected.sizes());
}

TEST_CASE("guards leave in any order, and the last one leaves nothing behind", "[forward_hook]") {
  torch::manual_seed(15);
  nets::ConvNet net;
  REQUIRE(quiet());
  const auto nothing = [](const sg::Layer&, const Tensor&, const Tensor&) {};
  auto a = std::make_unique<sg::ForwardHook>(net->conv1, nothing);
  auto b = std::make_unique<sg::Capture>(net->conv1);
  auto c = std::make_unique<sg::ForwardHook>(net->conv2, nothing);
  CHECK_FALSE(quiet());
  net->forward(input());
  a.reset();
  net->forward(input());
  c.reset();
  const Tensor x = input();
  net->forward(x);
  CHECK(identical(b->input(), x));
  b.reset();
  CHECK(quiet());
  CHECK(sg::detail::Tracker::of_thread()->idle());
}

TEST_CASE("remove may be called twice, and a removed hook is called no more", "[forward_hook]") {
  nets::ConvNet net;
  int calls = 0;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  net->forward(input());
  hook.remove();
  hook.remove();
  net->forward(input());
  CHECK(calls == 1);
  CHECK(quiet());
}

TEST_CASE("a moved guard goes on, and the place it came from does nothing", "[forward_hook]") {
  nets::ConvNet net;
  int first_calls = 0;
  int second_calls = 0;
  sg::ForwardHook first(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++first_calls; });
  sg::ForwardHook moved(std::move(first));
  first.remove();  // NOLINT(bugprone-use-after-move): says nothing, and does nothing
  net->forward(input());
  CHECK(first_calls == 1);
  // Assignment ends the guard that was there.
  sg::ForwardHook second(net->conv2, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++second_calls; });
  moved = std::move(second);
  net->forward(input());
  CHECK(first_calls == 1);
  CHECK(second_calls == 1);
  std::vector<sg::ForwardHook> many;
  many.push_back(std::move(moved));
  net->forward(input());
  CHECK(second_calls == 2);
  many.clear();
  CHECK(quiet());
}

TEST_CASE("guards are moved, never copied", "[forward_hook]") {
  CHECK(std::is_nothrow_move_constructible_v<sg::ForwardHook>);
  CHECK_FALSE(std::is_copy_constructible_v<sg::ForwardHook>);
  CHECK_FALSE(std::is_copy_assignable_v<sg::ForwardHook>);
  CHECK_FALSE(std::is_copy_constructible_v<sg::Capture>);
}

TEST_CASE("a guard outlives its model", "[forward_hook]") {
  int calls = 0;
  auto net = std::make_shared<nets::ConvNetImpl>();
  const std::weak_ptr<nets::ConvNetImpl> weak = net;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  sg::Capture capture(net, "conv2");
  net->forward(input());
  net.reset();
  CHECK(weak.expired());  // the guards hold nothing of it alive
  const Tensor kept = capture.output();
  nets::ConvNet other;  // perhaps at the same addresses
  other->forward(input());
  CHECK(calls == 1);
  CHECK(identical(capture.output(), kept));
}

TEST_CASE("a hook may remove itself, and others, from inside its call", "[forward_hook]") {
  nets::ConvNet net;
  int a_calls = 0;
  int b_calls = 0;
  std::unique_ptr<sg::ForwardHook> a, b;
  a = std::make_unique<sg::ForwardHook>(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) {
    ++a_calls;
    a->remove();
    b->remove();
  });
  b = std::make_unique<sg::ForwardHook>(net->conv2, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++b_calls; });
  net->forward(input());
  CHECK(a_calls == 1);
  CHECK(b_calls == 0);
  net->forward(input());
  CHECK(a_calls == 1);
  CHECK(quiet());
}

TEST_CASE("a hook may make another one inside its call", "[forward_hook]") {
  nets::ConvNet net;
  std::vector<sg::Capture> made;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) {
    if (made.empty()) made.emplace_back(net->conv2);
  });
  const Tensor x = input();
  net->forward(x);
  net->forward(x);
  REQUIRE(made.size() == 1);
  CHECK(identical(made[0].output(), alone([&] { return net->conv2->forward(made[0].input()); })));
}

TEST_CASE("a guard may be removed on another thread", "[forward_hook]") {
  nets::ConvNet net;
  int calls = 0;
  sg::ForwardHook hook(net->conv1, [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  net->forward(input());
  std::thread([moved = std::move(hook)]() mutable { moved.remove(); }).join();
  net->forward(input());
  CHECK(calls == 1);
  CHECK(quiet());  // the first operation on this thread has seen to it
}

TEST_CASE("a guard lives on after the thread that made it", "[forward_hook]") {
  nets::ConvNet net;
  std::unique_ptr<sg::Capture> capture;
  std::thread([&] {
    capture = std::make_unique<sg::Capture>(net->conv1);
    net->forward(input());
  }).join();
  CHECK(capture->output().size(1) == 4);
  net->forward(input());  // not this thread's guard
  capture.reset();
  CHECK(quiet());
}

TEST_CASE("what a hook holds dies with its guard", "[forward_hook]") {
  nets::ConvNet net;
  auto token = std::make_shared<int>(1);
  const std::weak_ptr<int> weak = token;
  {
    sg::ForwardHook hook(net->conv1, [held = std::move(token)](const sg::Layer&, const Tensor&, const Tensor&) {});
    net->forward(input()).sum().backward();
    CHECK_FALSE(weak.expired());
  }
  CHECK(weak.expired());
}

TEST_CASE("data-dependent control flow drops what was learned and learns anew", "[forward_hook]") {
  torch::manual_seed(16);
  nets::GatedNet net;
  sg::Capture gate(net->gate);
  sg::Capture head(net->head);
  const Tensor up = torch::rand({2, 4}) + 0.1;
  for (const float sign : {1.f, -1.f, -1.f, 1.f, -1.f}) {
    const Tensor x = up * sign;
    const Tensor y = net->forward(x);
    CHECK(identical(gate.output(), sign > 0 ? torch::relu(x) * 2 : torch::tanh(x) - 1));
    CHECK(identical(gate.input(), x));
    CHECK(identical(head.output(), y));
  }
}

TEST_CASE("a hooked layer is called once more, on one image of at most 16 by 16, and never again", "[forward_hook]") {
  torch::manual_seed(17);
  nets::Counted net;
  const Tensor x = torch::randn({3, 4, 20, 24});
  {
    sg::Capture first(net);
    for (int call = 0; call < 3; ++call) net->forward(x);
    CHECK(net->calls == 4);
    CHECK(net->sizes.size() == 4);
    // forward is entered (and noted) before its probe is.
    CHECK(net->sizes[0] == std::vector<int64_t>{3, 4, 20, 24});
    CHECK(net->sizes[1] == std::vector<int64_t>{1, 4, 16, 16});
    CHECK(net->sizes[2] == std::vector<int64_t>{3, 4, 20, 24});
    sg::Capture second(net);
    net->forward(x);
    CHECK(net->calls == 5);
    CHECK(identical(second.output(), first.output()));
  }
  sg::Capture third(net);  // the first ones are gone; what was learned is not
  net->forward(x);
  CHECK(net->calls == 6);
  std::thread([&] {
    sg::Capture elsewhere(net);
    net->forward(x);
    CHECK(elsewhere.output().size(0) == 3);
  }).join();
  CHECK(net->calls == 7);
}
