#include "sightglass/trace/learning/locate.hpp"

#include "sightglass/hooks/capture.hpp"
#include "sightglass/hooks/forward_hook.hpp"
#include "support/harness/alone.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

namespace {

/// Parameterless members outside of any Sequential, with functional twins of some of them.
struct MixedImpl : torch::nn::Module {
  torch::nn::Conv2d conv1{nets::conv3x3(3, 4)}, conv2{nets::conv3x3(4, 4)};
  torch::nn::ReLU relu;
  torch::nn::MaxPool2d pool{torch::nn::MaxPool2dOptions(2)};
  torch::nn::LeakyReLU leaky{torch::nn::LeakyReLUOptions().negative_slope(0.2)};
  torch::nn::Sigmoid sigmoid1, sigmoid2;
  MixedImpl() {
    register_module("conv1", conv1);
    register_module("relu", relu);
    register_module("pool", pool);
    register_module("leaky", leaky);
    register_module("conv2", conv2);
    register_module("sigmoid1", sigmoid1);
    register_module("sigmoid2", sigmoid2);
  }
  Tensor forward(Tensor x) {
    x = pool->forward(relu->forward(conv1->forward(x)));
    x = torch::max_pool2d(x, 3, 1, 1);              // other arguments than the layer's
    x = torch::leaky_relu(conv2->forward(x), 0.1);  // likewise
    x = leaky->forward(x);
    return sigmoid2->forward(sigmoid1->forward(x));
  }
};
TORCH_MODULE(Mixed);

}  // namespace

TEST_CASE("a layer without parameters is found by its own operations, arguments included", "[locate]") {
  torch::manual_seed(1);
  Mixed net;
  sg::hookable<MixedImpl>();
  const Tensor x = torch::randn({2, 3, 8, 8});
  const Tensor conv = net->conv1->forward(x).detach();
  const Tensor pooled = torch::max_pool2d(torch::relu(conv), 2);
  const Tensor before = torch::leaky_relu(net->conv2->forward(torch::max_pool2d(pooled, 3, 1, 1)), 0.1).detach();
  sg::Capture relu(net, "relu");
  sg::Capture pool(net, "pool");
  sg::Capture leaky(net, "leaky");
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(identical(relu.input(), conv));
    CHECK(identical(relu.output(), torch::relu(conv)));
    CHECK(identical(pool.input(), torch::relu(conv)));
    CHECK(identical(pool.output(), pooled));
    CHECK(identical(leaky.input(), before));
    CHECK(identical(leaky.output(), torch::leaky_relu(before, 0.2)));
  }
}

TEST_CASE("twins cannot be told apart, and the error names the remedy", "[locate]") {
  torch::manual_seed(2);
  Mixed net;
  sg::hookable<MixedImpl>();
  sg::Capture sigmoid(net, "sigmoid1");
  net->forward(torch::randn({1, 3, 8, 8}));
  CHECK_THROWS_WITH(sigmoid.output(), ContainsSubstring("\"sigmoid1\"") && ContainsSubstring("twin \"sigmoid2\"") &&
                                          ContainsSubstring("sightglass::Hooked"));
}

TEST_CASE("a layer whose operations the block performs elsewhere too is ambiguous", "[locate]") {
  struct AmbiguousImpl : torch::nn::Module {
    torch::nn::Linear fc{4, 4};
    torch::nn::ReLU relu;
    AmbiguousImpl() {
      register_module("fc", fc);
      register_module("relu", relu);
    }
    Tensor forward(Tensor x) { return torch::relu(fc->forward(relu->forward(x)) + 1); }
  };
  const auto net = std::make_shared<AmbiguousImpl>();
  sg::Capture relu(net, "relu");
  net->forward(torch::randn({2, 4}));
  CHECK_THROWS_WITH(relu.output(), ContainsSubstring("occur 2 times") && ContainsSubstring("sightglass::HookPoint"));
}

TEST_CASE("operations inside of siblings with parameters are not taken for the layer", "[locate]") {
  struct SiblingImpl : torch::nn::Module {
    nets::Bottleneck block{4, 2};  // two functional ReLUs inside
    torch::nn::ReLU relu;
    SiblingImpl() {
      register_module("block", block);
      register_module("relu", relu);
    }
    Tensor forward(Tensor x) { return relu->forward(block->forward(x) - 1); }
  };
  torch::manual_seed(3);
  sg::hookable<nets::BottleneckImpl>();
  const auto net = std::make_shared<SiblingImpl>();
  const Tensor x = torch::randn({1, 4, 3, 3});
  const Tensor expected = net->block->forward(x) - 1;
  sg::Capture relu(net, "relu");
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(identical(relu.input(), expected));
    CHECK(identical(relu.output(), torch::relu(expected)));
  }
}

TEST_CASE("a layer that runs nothing says so", "[locate]") {
  struct IdleImpl : torch::nn::Module {
    torch::nn::Linear fc{4, 4};
    torch::nn::Identity identity;
    IdleImpl() {
      register_module("fc", fc);
      register_module("identity", identity);
    }
    Tensor forward(Tensor x) { return identity->forward(fc->forward(x)); }
  };
  const auto net = std::make_shared<IdleImpl>();
  sg::Capture identity(net, "identity");
  net->forward(torch::randn({1, 4}));
  CHECK_THROWS_WITH(identity.output(),
                    ContainsSubstring("it runs no operation") && ContainsSubstring("sightglass::HookPoint"));
}

TEST_CASE("a located layer's output is replaced", "[locate]") {
  torch::manual_seed(5);
  Mixed net;
  const Tensor x = torch::randn({2, 3, 8, 8});
  sg::ForwardHook hook(net, "relu",
                       [](const sg::Layer&, const Tensor&, const Tensor& output) { return torch::zeros_like(output); });
  sg::Capture pool(net, "pool");
  for (int call = 0; call < 3; ++call) {
    net->forward(x);
    CHECK(torch::equal(pool.output(), torch::zeros({2, 4, 4, 4})));
  }
}
