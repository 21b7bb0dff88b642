#include "sightglass/hooks/backward_hook.hpp"

#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/hook_point.hpp"
#include "sightglass/hooks/hooked.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using torch::Tensor;
using namespace torch::nn;

namespace {

/// What a backward hook was told.
struct Gradients {
  int calls = 0;
  Tensor input, output;
  auto hook() {
    return [this](const sg::Layer&, const Tensor& grad_input, const Tensor& grad_output) {
      ++calls;
      input = grad_input;
      output = grad_output;
    };
  }
};

struct ScaleImpl : Module {
  Tensor forward(Tensor x) {
    const Tensor half = torch::tensor(0.5);  // runs with autograd kept out
    return x * half;
  }
};
TORCH_MODULE(Scale);
struct ScaledLinearImpl : Module {
  ScaledLinearImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    const Tensor half = torch::tensor(0.5);
    return fc(x * half);
  }
  Linear fc{3, 2};
};
TORCH_MODULE(ScaledLinear);

struct DropNetImpl : Module {
  DropNetImpl() {
    register_module("conv", conv);
    register_module("drop", drop);
    register_module("fc", fc);
  }
  Tensor forward(Tensor x) { return fc(torch::relu(torch::max_pool2d(drop(conv(x)), 2)).flatten(1)); }
  Conv2d conv{Conv2dOptions(1, 2, 3)};
  Dropout2d drop;
  Linear fc{18, 3};
};
TORCH_MODULE(DropNet);

/// Its input goes around it too.
struct ResidualImpl : Module {
  ResidualImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) {
    x = x * 1;
    return fc(x) + x * 10;
  }
  Linear fc{2, 2};
};

struct PairImpl : Module {
  PairImpl() { register_module("fc", fc); }
  std::tuple<Tensor, Tensor> forward(Tensor x) { return {fc(x), x * 3}; }
  Linear fc{2, 2};
};

}  // namespace

TEST_CASE("a backward hook runs on a layer that writes its input in place", "[cases]") {
  torch::manual_seed(1);
  for (const bool in_place : {false, true}) {
    INFO("in place " << in_place);
    Sequential net(Conv2d(Conv2dOptions(1, 2, 3)), ReLU(ReLUOptions(in_place)), Conv2d(Conv2dOptions(2, 1, 3)));
    const Tensor x = torch::randn({1, 1, 8, 8});
    const Tensor before = net[0]->as<Conv2d>()->forward(x).detach();
    // By hand: the score is the sum of the last convolution of relu(before).
    const Tensor a = torch::relu(before).requires_grad_();
    net[2]->as<Conv2d>()->forward(a).sum().backward();
    const Tensor weight_gradient = [&] {
      net->zero_grad();
      net->forward(x).sum().backward();
      return net[0]->as<Conv2d>()->weight.grad().clone();
    }();
    net->zero_grad();
    Gradients told;
    sg::BackwardHook hook(net, "1", told.hook());
    sg::Capture capture(net, "1");
    for (int call = 1; call <= 2; ++call) {
      net->forward(x).sum().backward();
      CHECK(told.calls == call);
      CHECK(torch::allclose(told.output, a.grad()));
      CHECK(torch::allclose(told.input, a.grad() * (before > 0)));
      CHECK(torch::allclose(capture.gradient(), a.grad()));
    }
    CHECK(torch::allclose(net[0]->as<Conv2d>()->weight.grad(), weight_gradient * 2));
  }
}

TEST_CASE("a backward hook runs on a layer that writes a view in place", "[cases]") {
  torch::manual_seed(2);
  Sequential net(Conv2d(Conv2dOptions(1, 2, 3)), Flatten(), ReLU(ReLUOptions(true)), Linear(8, 1));
  const Tensor x = torch::randn({1, 1, 4, 4});
  const Tensor before = net[0]->as<Conv2d>()->forward(x).detach().flatten(1);
  const Tensor weight = net[3]->as<Linear>()->weight.detach();
  Gradients told;
  sg::BackwardHook hook(net, "2", told.hook());
  net->forward(x).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::allclose(told.output, weight));
  CHECK(torch::allclose(told.input, weight * (before > 0)));
}

TEST_CASE("a backward hook runs on an in-place layer that announces itself", "[cases]") {
  torch::manual_seed(3);
  Sequential net(Linear(3, 4), sg::Hooked<ReLU>(ReLUOptions(true)), Linear(4, 1));
  const Tensor x = torch::randn({1, 3});
  const Tensor before = net[0]->as<Linear>()->forward(x).detach();
  const Tensor weight = net[2]->as<Linear>()->weight.detach();
  Gradients told;
  sg::BackwardHook hook(net, "1", told.hook());
  net->forward(x).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::allclose(told.output, weight));
  CHECK(torch::allclose(told.input, weight * (before > 0)));
}

TEST_CASE("a backward hook on a layer that returns its input is told the gradient there", "[cases]") {
  torch::manual_seed(4);
  DropNet net;
  const Tensor x = torch::randn({1, 1, 8, 8});
  for (const bool train : {true, false}) {
    net->train(train);
    Gradients told;
    sg::BackwardHook hook(net, "drop", told.hook());
    sg::Capture capture(net, "drop");
    for (int call = 1; call <= 2; ++call) {
      net->forward(x).sum().backward();
      REQUIRE(told.calls == call);
      REQUIRE(told.output.defined());
      CHECK(torch::equal(told.output, capture.gradient()));
      if (!train) CHECK(torch::equal(told.input, told.output));
    }
  }
  // And one that runs no operation at all.
  Sequential idle(Linear(3, 2), Identity(), Linear(2, 1));
  Gradients told;
  sg::BackwardHook hook(idle, "1", told.hook());
  idle->forward(torch::randn({1, 3})).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::equal(told.output, idle[2]->as<Linear>()->weight.detach()));
}

TEST_CASE("a backward hook runs on a block whose first operation keeps autograd out", "[cases]") {
  torch::manual_seed(5);
  Sequential net(Linear(4, 3), Scale(), ScaledLinear());
  const Tensor x = torch::randn({1, 4});
  net->forward(x).sum().backward();
  const Tensor expected = net[0]->as<Linear>()->weight.grad().clone();
  // The gradient behind "1" is the sum of the rows of the last weight, halved.
  const Tensor behind = net[2]->as<ScaledLinear>()->fc->weight.detach().sum(0, true) / 2;
  for (const char* name : {"1", "2"}) {
    INFO(name);
    net->zero_grad();
    Gradients told;
    sg::BackwardHook hook(net, name, told.hook());
    net->forward(x).sum().backward();
    CHECK(torch::equal(net[0]->as<Linear>()->weight.grad(), expected));
    REQUIRE(told.calls == 1);
    if (std::string(name) == "1") {
      CHECK(torch::allclose(told.output, behind));
      CHECK(torch::allclose(told.input, behind / 2));
    } else {
      CHECK(torch::equal(told.output, torch::ones({1, 2})));
    }
  }
  // A leaf as the input.
  const Tensor leaf = torch::randn({1, 3}).requires_grad_();
  sg::Hooked<Scale> scale;
  Gradients told;
  sg::BackwardHook hook(scale, told.hook());
  (scale(leaf) * 3).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::equal(told.input, torch::full({1, 3}, 1.5)));
  CHECK(torch::equal(told.output, torch::full({1, 3}, 3.0)));
  CHECK(leaf.is_leaf());
}

TEST_CASE("grad_input is the layer's own share where its input goes around it too", "[cases]") {
  const auto net = std::make_shared<ResidualImpl>();
  Gradients told;
  sg::BackwardHook hook(net->fc, told.hook());
  const Tensor x = torch::randn({1, 2}).requires_grad_();
  net->forward(x).sum().backward();
  REQUIRE(told.calls == 1);
  const Tensor share = net->fc->weight.detach().sum(0, true);
  CHECK(torch::allclose(told.input, share));
  CHECK(torch::allclose(x.grad(), share + 10));
}

TEST_CASE("grad_output is zero where only another output of the layer is used", "[cases]") {
  const auto layer = std::make_shared<PairImpl>();
  Gradients told;
  sg::BackwardHook hook(layer, told.hook());
  const Tensor x = torch::randn({1, 2}).requires_grad_();
  std::get<1>(layer->forward(x * 1)).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::equal(told.output, torch::zeros({1, 2})));
  CHECK(torch::equal(told.input, torch::full({1, 2}, 3.0)));
}

TEST_CASE("a hook point tells what flows through it, not around it", "[cases]") {
  sg::HookPoint here;
  Gradients told;
  sg::BackwardHook hook(here, told.hook());
  const Tensor x = torch::ones({2}).requires_grad_() * 1;
  const Tensor around = x * 5;
  (here->forward(x) * 2 + around).sum().backward();
  REQUIRE(told.calls == 1);
  CHECK(torch::equal(told.output, torch::full({2}, 2.0)));
  CHECK(torch::equal(told.input, torch::full({2}, 2.0)));
}

namespace {

/// Ends with a view of what it has computed.
struct TurnedImpl : Module {
  TurnedImpl() { register_module("fc", fc); }
  Tensor forward(Tensor x) { return fc(x).transpose(1, 2); }
  Linear fc{3, 4};
};
TORCH_MODULE(Turned);

}  // namespace

TEST_CASE("the gradient of an output that is a view, written in place afterwards, is told", "[cases]") {
  torch::manual_seed(4);
  // Instance norm ends with a view.
  for (const bool in_place : {false, true}) {
    INFO("in place: " << in_place);
    Conv2d last(Conv2dOptions(4, 1, 3));
    Sequential net(Conv2d(Conv2dOptions(1, 4, 3)), InstanceNorm2d(4), ReLU(ReLUOptions(in_place)), last);
    const Tensor x = torch::randn({2, 1, 8, 8});
    const Tensor y = net[1]->as<InstanceNorm2dImpl>()->forward(net[0]->as<Conv2dImpl>()->forward(x)).detach();
    const Tensor leaf = y.clone().requires_grad_();
    last->forward(leaf.relu()).square().sum().backward();

    Gradients told;
    sg::Capture capture(net, "1");
    sg::BackwardHook hook(net, "1", told.hook());
    for (int pass = 1; pass <= 2; ++pass) {
      net->forward(x).square().sum().backward();
      CHECK(told.calls == pass);
      CHECK(told.output.allclose(leaf.grad(), 1e-4, 1e-6));
      CHECK(capture.gradient().allclose(leaf.grad(), 1e-4, 1e-6));
      CHECK(capture.output().allclose(y, 1e-4, 1e-6));
    }
  }
  Turned turned;
  const auto head = std::make_shared<LinearImpl>(5, 2);
  const Tensor x = torch::randn({2, 5, 3});
  const Tensor leaf = turned->forward(x).detach().clone().requires_grad_();
  head->forward(leaf.tanh()).square().sum().backward();
  Gradients told;
  sg::Capture capture(turned);
  sg::BackwardHook hook(turned, told.hook());
  Tensor y = turned->forward(x);
  y.tanh_();
  head->forward(y).square().sum().backward();
  CHECK(told.output.allclose(leaf.grad(), 1e-4, 1e-6));
  CHECK(capture.gradient().allclose(leaf.grad(), 1e-4, 1e-6));
}
