#include "sightglass/hooks/capture.hpp"

#include "sightglass/hooks/find_layers.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::alone;
using support::identical;
using torch::Tensor;

namespace {

Tensor input(int64_t batch = 2, int64_t size = 12) { return torch::randn({batch, 3, size, size}); }

}  // namespace

TEST_CASE("a capture holds what went into a layer and what came out, as the layer alone computes it", "[capture]") {
  torch::manual_seed(1);
  nets::ConvNet net;
  const Tensor x = input();
  sg::Capture first(net->conv1);
  sg::Capture second(net->conv2);
  sg::Capture last(net->fc);
  const Tensor scores = net->forward(x);

  CHECK(identical(first.input(), x));
  CHECK(identical(first.output(), alone([&] { return net->conv1->forward(x); })));
  const Tensor between = torch::relu(first.output());
  CHECK(identical(second.input(), between));
  CHECK(identical(second.output(), alone([&] { return net->conv2->forward(between); })));
  CHECK(identical(torch::log_softmax(last.output(), 1), scores));
}

TEST_CASE("operations in place right after a layer do not change what was captured", "[capture]") {
  torch::manual_seed(2);
  nets::ConvNet net;
  const Tensor x = input();
  const Tensor expected_first = net->conv1->forward(x).detach();
  const Tensor expected_second = net->conv2->forward(torch::relu(expected_first)).detach();
  REQUIRE(expected_first.min().item<float>() < 0);  // relu_ comes after it
  sg::Capture first(net->conv1);
  sg::Capture second(net->conv2);
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(identical(first.output(), expected_first));
    CHECK(identical(second.output(), expected_second));
  }
}

TEST_CASE("nothing is copied where nothing is written", "[capture]") {
  torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3), torch::nn::Conv2d(4, 4, 3));
  const Tensor x = input();
  sg::Capture first(net, "0");
  sg::Capture second(net, "1");
  const Tensor y = net->forward(x);
  CHECK(first.input().data_ptr() == x.data_ptr());
  CHECK(second.input().data_ptr() == first.output().data_ptr());
  CHECK(second.output().data_ptr() == y.data_ptr());
}

TEST_CASE("what a user writes into the result after the forward pass does not reach a living capture", "[capture]") {
  torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3));
  const Tensor x = input();
  sg::Capture capture(net, "0");
  const torch::NoGradGuard no_gradients;
  const Tensor y = net->forward(x);
  const Tensor expected = y.clone();
  y.zero_();
  CHECK(identical(capture.output(), expected));
}

TEST_CASE("what was captured stays after remove, whatever is written later", "[capture]") {
  torch::nn::Sequential net(torch::nn::Conv2d(3, 4, 3));
  const Tensor x = input();
  sg::Capture capture(net, "0");
  const torch::NoGradGuard no_gradients;
  const Tensor y = net->forward(x);
  const Tensor expected = y.clone();
  capture.remove();
  y.zero_();
  CHECK(identical(capture.output(), expected));
  net->forward(x + 1);
  CHECK(identical(capture.output(), expected));
}

TEST_CASE("a detached capture has no graph, a connected one can be backpropagated through", "[capture]") {
  torch::manual_seed(3);
  nets::ConvNet net;
  const Tensor x = input();
  sg::Capture detached(net->conv2);
  sg::Capture connected(net->conv2, sg::CaptureOptions().graph(sg::Graph::connected));
  net->forward(x);
  CHECK_FALSE(detached.output().requires_grad());
  REQUIRE(connected.output().requires_grad());
  // A loss on the activation itself, as feature losses and activation maximisation have it.
  const auto got = torch::autograd::grad({connected.output().pow(2).sum()}, {net->conv1->weight, net->conv2->weight});
  const Tensor twin = alone([&] { return net->conv2->forward(torch::relu(net->conv1->forward(x))); });
  const auto expected = torch::autograd::grad({twin.pow(2).sum()}, {net->conv1->weight, net->conv2->weight});
  CHECK(torch::allclose(got[0], expected[0]));
  CHECK(torch::allclose(got[1], expected[1]));
}

TEST_CASE("the gradient is that at the layer's end, although operations in place follow", "[capture]") {
  torch::manual_seed(4);
  nets::ConvNet net;
  nets::OutOfPlaceConvNet twin;
  {
    const torch::NoGradGuard no_gradients;
    for (size_t i = 0; i < net->parameters().size(); ++i) twin->parameters()[i].copy_(net->parameters()[i]);
  }
  const Tensor x = input();
  sg::Capture first(net->conv1);
  sg::Capture second(net->conv2);
  const Tensor score = net->forward(x).select(1, 2).sum();
  score.backward();
  const Tensor twin_score = twin->forward(x).select(1, 2).sum();
  const auto expected = torch::autograd::grad({twin_score}, {twin->first, twin->second});
  REQUIRE(expected[0].abs().max().item<float>() > 0);
  CHECK(torch::allclose(first.gradient(), expected[0]));
  CHECK(torch::allclose(second.gradient(), expected[1]));
  CHECK(first.calls().at(0).gradients.at(0).data_ptr() == first.gradient().data_ptr());
}

TEST_CASE("the last call is kept, or all of them", "[capture]") {
  torch::manual_seed(5);
  nets::Twice net;
  const Tensor x = torch::randn({1, 4, 6, 6});
  sg::Capture last(net->conv);
  sg::Capture all(net->conv, sg::CaptureOptions().keep(sg::Keep::all));
  const Tensor once = net->conv->forward(x);
  REQUIRE(all.calls().size() == 1);  // a layer that is called by hand has run, too
  net->forward(x).sum().backward();
  const Tensor twice = alone([&] { return net->conv->forward(torch::relu(once)); });

  REQUIRE(last.calls().size() == 1);
  REQUIRE(all.calls().size() == 3);
  CHECK(identical(all.calls()[1].outputs[0], once));
  CHECK(identical(all.calls()[2].outputs[0], twice));
  CHECK(torch::equal(all.calls()[2].gradients[0], torch::ones_like(twice)));
  CHECK(all.calls()[1].gradients[0].defined());
  CHECK_FALSE(all.calls()[0].gradients[0].defined());
}

TEST_CASE("a capture kept on the CPU is independent of the model's memory", "[capture]") {
  torch::manual_seed(6);
  nets::ConvNet net;
  const Tensor x = input();
  sg::Capture capture(net->conv1, sg::CaptureOptions().storage(sg::Storage::cpu));
  net->forward(x).sum().backward();
  CHECK(capture.output().is_cpu());
  CHECK(capture.gradient().is_cpu());
  CHECK(identical(capture.output(), alone([&] { return net->conv1->forward(x); })));
}

TEST_CASE("an accessor before any call says that the layer has not run", "[capture]") {
  nets::ConvNet net;
  sg::Capture capture(net, "conv1");
  CHECK_THROWS_WITH(capture.output(), ContainsSubstring("\"conv1\"") && ContainsSubstring("has not run"));
  CHECK_THROWS_WITH(capture.input(), ContainsSubstring("has not run"));
  CHECK_THROWS_WITH(capture.gradient(), ContainsSubstring("has not run"));
  CHECK_THROWS_WITH(capture.calls(), ContainsSubstring("has not run"));
}

TEST_CASE("a missing gradient says whether there was no graph or no backward pass", "[capture]") {
  nets::ConvNet net;
  sg::Capture capture(net->conv1);
  {
    const torch::NoGradGuard no_gradients;
    net->forward(input());
  }
  CHECK_THROWS_WITH(capture.gradient(), ContainsSubstring("NoGradGuard"));
  net->forward(input());
  CHECK_THROWS_WITH(capture.gradient(), ContainsSubstring("no backward pass"));
}

TEST_CASE("gradients are captured when no parameter requires one, if the input does", "[capture]") {
  torch::manual_seed(7);
  nets::ConvNet net;
  for (Tensor& parameter : net->parameters()) parameter.set_requires_grad(false);
  sg::Capture capture(net->conv2);
  net->forward(input().requires_grad_()).sum().backward();
  CHECK(capture.gradient().sizes() == capture.output().sizes());
  for (const Tensor& parameter : net->parameters()) CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("outputs that are tuples are captured flat", "[capture]") {
  torch::manual_seed(8);
  nets::Recurrent net;
  sg::Capture lstm(net->lstm);
  sg::Capture attention(net->attention);
  const Tensor x = torch::randn({2, 5, 6});
  net->forward(x);
  const auto [sequence, last] = alone([&] { return net->lstm->forward(x); });
  REQUIRE(lstm.outputs().size() == 3);
  CHECK(torch::equal(lstm.outputs()[0], sequence));
  CHECK(torch::equal(lstm.outputs()[1], std::get<0>(last)));
  CHECK(torch::equal(lstm.outputs()[2], std::get<1>(last)));

  const Tensor given = alone([&, rows = sequence] { return std::get<0>(net->gru->forward(rows)).transpose(0, 1); });
  const auto [attended, weights] = alone([&] { return net->attention->forward(given, given, given); });
  REQUIRE(attention.outputs().size() == 2);
  CHECK(torch::allclose(attention.output(), attended));
  CHECK(torch::allclose(attention.outputs()[1], weights));
}

TEST_CASE("the options' setters are chained, and each changes its own", "[capture]") {
  const sg::CaptureOptions usual;
  CHECK(usual.keep() == sg::Keep::last);
  CHECK(usual.graph() == sg::Graph::detached);
  CHECK(usual.storage() == sg::Storage::device);
  const auto options = sg::CaptureOptions().keep(sg::Keep::all).graph(sg::Graph::connected).storage(sg::Storage::cpu);
  CHECK(options.keep() == sg::Keep::all);
  CHECK(options.graph() == sg::Graph::connected);
  CHECK(options.storage() == sg::Storage::cpu);
}
