#include <sightglass/cam/explain.hpp>
#include <sightglass/model/layers.hpp>
#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/cam/methods/score_cam.hpp>
#include <sightglass/hooks/capture.hpp>
#include <sightglass/hooks/hook_point.hpp>
#include <sightglass/hooks/hooked.hpp>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/harness/gpu.hpp"
#include "support/nets/nets.hpp"
#include "support/data/refs.hpp"
#include "support/nets/scripts.hpp"
#include "support/harness/snapshot.hpp"
#include "support/nets/tiny.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;
using support::relative_error;

namespace {

/// A residual network with batch norm statistics that are not trivial.
support::TinyResNet resnet(uint64_t seed = 17) {
  torch::manual_seed(seed);
  support::TinyResNet net;
  const torch::NoGradGuard no_gradients;
  for (auto& item : net->named_buffers()) {
    if (item.key().find("running_mean") != std::string::npos) item.value().normal_(0, .1);
    if (item.key().find("running_var") != std::string::npos) item.value().uniform_(.5, 1.5);
  }
  net->eval();
  return net;
}

at::Tensor pictures(int64_t count, uint64_t seed = 23) {
  torch::manual_seed(seed);
  return torch::randn({count, 3, 64, 48});
}

/// Grad-CAM by plain autograd: the layer's output is a leaf from which `tail` gives the scores.
template <class Tail>
at::Tensor plain_grad_cam(const at::Tensor& activations, const Tail& tail, int64_t index) {
  const at::Tensor a = activations.detach().clone().requires_grad_(true);
  const at::Tensor g = torch::autograd::grad({tail(a).select(1, index).sum()}, {a}).front();
  return (g.mean(at::IntArrayRef{2, 3}, true) * a).sum(1).relu().detach();
}

}  // namespace

TEST_CASE("a layer is given by handle, by element of a Sequential, or by name") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const at::Tensor map = sg::explain(net, x, net->layer4, sg::GradCam{}).map();
  CHECK(map.sizes() == at::IntArrayRef({2, 2, 2}));
  CHECK(sg::explain(net, x, "layer4", sg::GradCam{}).map().equal(map));
  CHECK(sg::explain(net, x, sg::layer(net, "layer4"), sg::GradCam{}).map().equal(map));
  CHECK(sg::explain(net.ptr(), x, net->layer4.ptr(), sg::GradCam{}).map().equal(map));
  CHECK(sg::explain(net, x, net->layer4[1], sg::GradCam{}).map().equal(map));
  CHECK(sg::explain(net, x, "layer4.1", sg::GradCam{}).map().equal(map));
  const at::Tensor inner = sg::explain(net, x, "layer4.0.bn1", sg::GradCam{}).map();
  CHECK(sg::explain(net, x, net->layer4->at<support::TwinBlockImpl>(0).bn1, sg::GradCam{}).map().equal(inner));
}

TEST_CASE("an element without parameters, given by handle, is found in its model") {
  torch::manual_seed(1);
  support::TinyVgg net;
  net->eval();
  const at::Tensor x = torch::randn({1, 3, 64, 80});
  const at::Tensor pooled = sg::explain(net, x, "features.11", sg::GradCam{}, 3).map();
  CHECK(sg::explain(net, x, net->features[11], sg::GradCam{}, 3).map().equal(pooled));
  CHECK(sg::explain(net, x, net->features, sg::GradCam{}, 3).map().equal(pooled));
  CHECK(sg::explain(net, x, net->features[10], sg::GradCam{}, 3).map().sizes() == at::IntArrayRef({1, 16, 20}));
}

TEST_CASE("any layer agrees with plain autograd through the rest of the network") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const auto stem = [&](const at::Tensor& in) {
    return net->maxpool->forward(torch::relu(net->bn1->forward(net->conv1->forward(in))));
  };
  const auto head = [&](const at::Tensor& a) { return net->fc->forward(a.mean(at::IntArrayRef{2, 3})); };
  const at::Tensor layer1 = net->layer1->forward(stem(x));
  const at::Tensor layer2 = net->layer2->forward(layer1);
  const at::Tensor layer3 = net->layer3->forward(layer2);
  const at::Tensor layer4 = net->layer4->forward(layer3);
  const auto error = [&](const std::string& name, const at::Tensor& wanted) {
    return relative_error(sg::explain(net, x, name, sg::GradCam{}, 3).map(), wanted);
  };
  CHECK(error("layer4", plain_grad_cam(layer4, head, 3)) < 1e-5);
  CHECK(error("layer3", plain_grad_cam(
                            layer3, [&](const at::Tensor& a) { return head(net->layer4->forward(a)); }, 3)) < 1e-5);
  CHECK(error("layer1", plain_grad_cam(
                            layer1,
                            [&](const at::Tensor& a) {
                              return head(net->layer4->forward(net->layer3->forward(net->layer2->forward(a))));
                            },
                            3)) < 1e-4);
}

TEST_CASE("a batch equals its images one by one") {
  auto net = resnet();
  const at::Tensor x = pictures(4);
  const std::vector<int64_t> targets{3, 0, 9, 5};
  for (const std::string layer : {"layer4", "layer2.0"}) {
    const auto batch = sg::explain(net, x, layer, sg::GradCam{}, sg::Target(targets));
    for (int64_t i = 0; i < 4; ++i) {
      const auto single = sg::explain(net, x.narrow(0, i, 1), layer, sg::GradCam{}, targets[static_cast<size_t>(i)]);
      CHECK(relative_error(batch.map().narrow(0, i, 1), single.map()) < 1e-5);
      CHECK(batch.status(i) == single.status(0));
      CHECK(batch.targets()[i].item<int64_t>() == single.targets()[0].item<int64_t>());
      CHECK(torch::allclose(batch.scores()[i], single.scores()[0], 1e-5, 1e-6));
    }
  }
}

TEST_CASE("the same image twice gives the same map, in one batch and in two calls") {
  auto net = resnet();
  const at::Tensor x = pictures(1);
  const auto twice = sg::explain(net, torch::cat({x, x}), "layer3", sg::GradCam{});
  CHECK(twice.map(0).equal(twice.map(1)));
  const auto first = sg::explain(net, x, "layer3", sg::GradCam{});
  CHECK(sg::explain(net, x, "layer3", sg::GradCam{}).map().equal(first.map()));
  CHECK(sg::explain(net, x, "layer3", sg::Cam{torch::ones({10, 32})})
            .map()
            .equal(sg::explain(net, x, "layer3", sg::Cam{torch::ones({10, 32})}).map()));
}

TEST_CASE("a TorchScript model gives the same map at every call") {
  torch::manual_seed(6);
  const torch::jit::Module net = scripts::net();
  const at::Tensor x = torch::randn({2, 3, 8, 6});
  const at::Tensor map = sg::explain(net, x, "blocks.0", sg::GradCam{}).map();
  for (int call = 0; call < 4; ++call) CHECK(sg::explain(net, x, "blocks.0", sg::GradCam{}).map().equal(map));
  // Other sizes and other layers in between change nothing.
  sg::explain(net, torch::randn({1, 3, 5, 9}), "conv1", sg::GradCam{});
  CHECK(sg::explain(net, x, "blocks.0", sg::GradCam{}).map().equal(map));
}

TEST_CASE("several layers in one pass equal those layers one by one") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const std::vector<std::string> names{"layer4", "layer1", "layer3.0.bn1", "layer2", "conv1"};
  std::vector<sg::Layer> layers;
  for (const auto& name : names) layers.push_back(sg::layer(net, name));
  const auto together = sg::explain(net, x, layers, sg::GradCam{}, 4);
  REQUIRE(together.size() == names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    INFO(names[i]);
    CHECK(relative_error(together[i].map(), sg::explain(net, x, names[i], sg::GradCam{}, 4).map()) < 1e-6);
  }
}

TEST_CASE("nested layers in one pass: each is cut at its own end") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  // All of these end with the same tensor, but for bn2: its output is written by `+=` and by an in-place ReLU.
  const auto nested = sg::explain(
      net, x, {sg::layer(net, "layer4"), sg::layer(net, "layer4.1"), sg::layer(net, "layer4.1.bn2")}, sg::GradCam{}, 4);
  CHECK(nested[0].map().equal(nested[1].map()));
  CHECK(relative_error(nested[2].map(), sg::explain(net, x, "layer4.1.bn2", sg::GradCam{}, 4).map()) < 1e-6);
  CHECK_FALSE(nested[2].map().equal(nested[1].map()));
  // The same layer twice is no contradiction.
  const auto same = sg::explain(net, x, {net->layer3, net->layer3}, sg::GradCam{}, 4);
  CHECK(same[0].map().equal(same[1].map()));
}

TEST_CASE("parallel branches in one pass: a layer need not lie after the earliest one") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : first(register_module("first", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3).padding(1)))),
          second(register_module("second", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 5).padding(2)))),
          third(register_module("third", torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 4, 1)))),
          fc(register_module("fc", torch::nn::Linear(8, 5))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor a = first->forward(x);
      const torch::Tensor b = third->forward(second->forward(x).relu_());
      return fc->forward(torch::cat({a.relu(), b.tanh()}, 1).mean(at::IntArrayRef{2, 3}));
    }
    torch::nn::Conv2d first, second, third;
    torch::nn::Linear fc;
  };
  torch::manual_seed(9);
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 3, 9, 8});
  const auto a = net->first->forward(x);
  const auto second = net->second->forward(x);
  const auto b = net->third->forward(second.relu());
  const auto head = [&](const at::Tensor& one, const at::Tensor& two) {
    return net->fc->forward(torch::cat({one.relu(), two.tanh()}, 1).mean(at::IntArrayRef{2, 3}));
  };
  const at::Tensor wanted_a = plain_grad_cam(
      a, [&](const at::Tensor& t) { return head(t, b); }, 2);
  const at::Tensor wanted_b = plain_grad_cam(
      b, [&](const at::Tensor& t) { return head(a, t); }, 2);
  const at::Tensor wanted_second = plain_grad_cam(
      second, [&](const at::Tensor& t) { return head(a, net->third->forward(t.relu())); }, 2);

  for (const bool reversed : {false, true}) {
    std::vector<sg::Layer> layers{net->first, net->third, net->second};
    std::vector<at::Tensor> wanted{wanted_a, wanted_b, wanted_second};
    if (reversed) {
      std::swap(layers.front(), layers.back());
      std::swap(wanted.front(), wanted.back());
    }
    const auto explained = sg::explain(net, x, layers, sg::GradCam{}, 2);
    for (size_t i = 0; i < 3; ++i) CHECK(relative_error(explained[i].map(), wanted[i]) < 1e-5);
  }
  // No gradient of a parameter came of it.
  for (const auto& parameter : net->parameters()) CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("a layer that runs several times is explained at its last call") {
  nets::Twice body;
  struct NetImpl : torch::nn::Module {
    explicit NetImpl(const nets::Twice& given) : twice(register_module("twice", given)) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return twice->forward(x).square().mean(at::IntArrayRef{2, 3}); }
    nets::Twice twice;
  };
  const auto net = std::make_shared<NetImpl>(body);
  const at::Tensor x = torch::randn({1, 4, 6, 6});
  const at::Tensor last = body->conv->forward(torch::relu(body->conv->forward(x)));
  const at::Tensor wanted = plain_grad_cam(
      last,
      [](const at::Tensor& a) {
        return a.square().mean(at::IntArrayRef{2, 3});
      },
      1);
  CHECK(relative_error(sg::explain(net, x, body->conv, sg::GradCam{}, 1).map(), wanted) < 1e-5);
}

namespace {

/// One convolution that runs twice, on inputs of two sizes; written out, two convolutions of the same weights.
struct SharedConvImpl : torch::nn::Module {
  explicit SharedConvImpl(bool written_out = false) {
    const auto conv = [] { return torch::nn::Conv2d(torch::nn::Conv2dOptions(4, 4, 3).padding(1)); };
    first = register_module("first", conv());
    second = written_out ? register_module("second", conv()) : first;
    fc = register_module("fc", torch::nn::Linear(8, 5));
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor a = first->forward(x);
    const torch::Tensor b = second->forward(torch::max_pool2d(a.relu(), 2));
    return fc->forward(torch::cat({a.relu().mean({2, 3}), b.square().mean({2, 3})}, 1));
  }
  torch::nn::Conv2d first{nullptr}, second{nullptr};
  torch::nn::Linear fc{nullptr};
};
TORCH_MODULE(SharedConv);

}  // namespace

TEST_CASE("a call of a layer that runs several times is explained as a layer of its own would be") {
  torch::manual_seed(31);
  SharedConv net, apart(true);
  {
    const torch::NoGradGuard no_gradients;
    for (const auto& item : apart->named_parameters()) {
      const std::string name = item.key();
      item.value().copy_(net->named_parameters()[name.rfind("second", 0) == 0 ? "first" + name.substr(6) : name]);
    }
  }
  const at::Tensor x = torch::randn({2, 4, 8, 6});
  const auto check = [&](const auto& method) {
    for (const sg::Model& model : {sg::Model(net), sg::Model(net).optimised()}) {
      for (int run = 0; run < 3; ++run) {  // what is learned of call 1 is not taken for call 0
        CHECK(relative_error(sg::explain(model, x, sg::layer(net, "first").call(1), method, 2).map(),
                             sg::explain(apart, x, apart->second, method, 2).map()) < 1e-5);
        CHECK(relative_error(sg::explain(model, x, sg::Layer(net->first).call(0), method, 2).map(),
                             sg::explain(apart, x, apart->first, method, 2).map()) < 1e-5);
        CHECK(relative_error(sg::explain(model, x, net->first, method, 2).map(),
                             sg::explain(apart, x, apart->second, method, 2).map()) < 1e-5);
      }
    }
  };
  check(sg::GradCam{});
  check(sg::AblationCam{});
  check(sg::ScoreCam{});

  const sg::Layer first(net->first);
  const sg::Pass pass(net, x, {first.call(1), first.call(0), first});
  const sg::Pass wanted(apart, x, {apart->second, apart->first, apart->second});
  const size_t calls[] = {1, 0, 1};
  for (size_t i = 0; i < 3; ++i) {
    CHECK(pass.calls(i) == 2);
    CHECK(pass.call(i) == calls[i]);
    CHECK(relative_error(pass.explain(i, sg::GradCam{}, 2).map(), wanted.explain(i, sg::GradCam{}, 2).map()) < 1e-5);
  }
  CHECK_THROWS_WITH(sg::explain(net, x, first.call(2), sg::GradCam{}, 2),
                    ContainsSubstring("layer \"torch::nn::Conv2dImpl\": got call 2, it ran 2 times: call 0 to 1"));
  CHECK_THROWS_WITH(sg::explain(net, x, sg::layer(net, "fc").call(1), sg::GradCam{}, 2),
                    ContainsSubstring("layer \"fc\": got call 1, it ran once: call 0"));
}

TEST_CASE("a call is chosen of an element of a Sequential, whose place only the model tells") {
  torch::nn::Sequential body(torch::nn::Conv2d(torch::nn::Conv2dOptions(2, 2, 3).padding(1)), torch::nn::ReLU());
  struct NetImpl : torch::nn::Module {
    explicit NetImpl(const torch::nn::Sequential& given) : body(register_module("body", given)) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor a = body->forward(x);
      return (a + body->forward(a).square()).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Sequential body;
  };
  torch::manual_seed(32);
  const auto net = std::make_shared<NetImpl>(body);
  const at::Tensor x = torch::randn({1, 2, 6, 6});
  const at::Tensor first = body->forward(x), second = body->forward(first);
  const auto from_first = [&](const at::Tensor& a) {
    return (a + body->forward(a).square()).mean(at::IntArrayRef{2, 3});
  };
  const auto from_second = [&](const at::Tensor& a) { return (first + a.square()).mean(at::IntArrayRef{2, 3}); };
  const sg::Layer relu(body[1]);
  CHECK(relative_error(sg::explain(net, x, relu.call(0), sg::GradCam{}, 1).map(),
                       plain_grad_cam(first, from_first, 1)) < 1e-5);
  CHECK(relative_error(sg::explain(net, x, relu.call(1), sg::GradCam{}, 1).map(),
                       plain_grad_cam(second, from_second, 1)) < 1e-5);
}

TEST_CASE("a pass serves several methods and targets from one run of the model") {
  int runs = 0;
  PaperNet net;
  const sg::Model counted(net, [&](const at::Tensor& x) {
    ++runs;
    return net->forward(x);
  });
  const sg::Pass pass(counted, PaperNetImpl::picture(), {net->features, sg::layer(net, "features.0")});
  CHECK(runs == 1);
  CHECK(pass.size() == 2);
  CHECK(pass.layer_name(1) == "features.0");
  CHECK(pass.output().equal(torch::tensor({4.f, -1.75f}).view({1, 2})));
  CHECK(pass.explain(0, sg::Cam{}, 0).map().equal(torch::tensor({5.f, 4.f, 3.f, 4.f}).view({1, 2, 2})));
  CHECK(pass.explain(0, sg::GradCam{}, 0).map().equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  CHECK(pass.explain(0, sg::GradCam{}, 1).map().equal(torch::tensor({.25f, 0.f, 0.f, 0.f}).view({1, 2, 2})));
  CHECK(pass.explain(1, sg::GradCam{}, 0).map().equal(torch::full({1, 2, 2}, .75f)));
  CHECK(pass.explain(0, sg::GradCam{}, 0).map().equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  CHECK(runs == 1);
  CHECK_THROWS_WITH(pass.explain(2, sg::GradCam{}), ContainsSubstring("layer: got number 2, the pass has 2"));
}

TEST_CASE("a method is any callable from a cut to maps") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  // HiResCAM: relu of the sum of gradient times activation. At features.0 for class 0: A0 / 4 + (A1 / 2 where A1 > 0).
  const auto hires = [](const sg::Cut& cut) { return (cut.gradients() * cut.activations()).sum(1).relu(); };
  const auto explained = sg::explain(net, x, "features.0", hires, 0);
  CHECK(explained.map().equal(torch::tensor({1.25f, 1.f, .75f, 1.f}).view({1, 2, 2})));
  CHECK(explained.status(0) == sg::Status::ok);
  // A function pointer, a struct with state, and a method that uses no gradient.
  struct Channel {
    int64_t index;
    at::Tensor operator()(const sg::Cut& cut) const { return cut.activations().select(1, index); }
  };
  CHECK(sg::explain(net, x, "features.0", Channel{1}, 0)
            .map()
            .equal(torch::tensor({2.f, 1.f, 0.f, -1.f}).view({1, 2, 2})));
  at::Tensor (*const mean)(const sg::Cut&) = [](const sg::Cut& cut) { return cut.activations().mean(1); };
  CHECK(sg::explain(net, x, "features.0", mean).map().equal(torch::full({1, 2, 2}, 1.5f)));
  // A method may differentiate on its own.
  const auto own = [](const sg::Cut& cut) {
    const at::AutoGradMode with_graph(true);
    const at::Tensor a = cut.activations().clone().requires_grad_(true);
    return a.grad().defined() ? at::Tensor() : torch::autograd::grad({a.square().sum()}, {a}).front().sum(1);
  };
  CHECK(sg::explain(net, x, "features.0", own, 0).map().equal(torch::full({1, 2, 2}, 6.f)));
}

TEST_CASE("a method that does not give maps is an error, and what it throws reaches the caller") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const auto by = [&](const auto& method) { return sg::explain(net, x, "features", method); };
  CHECK_THROWS_WITH(by([](const sg::Cut& cut) { return cut.activations(); }),
                    ContainsSubstring("method: got a map [1, 2, 2, 2] for activations [1, 2, 2, 2]; expected [N, *S]"));
  CHECK_THROWS_WITH(by([](const sg::Cut& cut) {
                      return cut.activations().sum(at::IntArrayRef{0, 1});
                    }),
                    ContainsSubstring("method: got a map [2, 2]"));
  CHECK_THROWS_WITH(by([](const sg::Cut& /*cut*/) {
                      return torch::zeros({2, 2, 2});
                    }),
                    ContainsSubstring("method: got a map [2, 2, 2]"));
  CHECK_THROWS_WITH(by([](const sg::Cut& /*cut*/) { return at::Tensor(); }),
                    ContainsSubstring("method: got a map that is undefined"));
  CHECK_THROWS_WITH(by([](const sg::Cut& /*cut*/) -> at::Tensor { throw std::runtime_error("from the method"); }),
                    ContainsSubstring("from the method"));
  CHECK(by(sg::GradCam{}).status(0) == sg::Status::ok);
}

TEST_CASE("an unknown layer is an error with the nearest names") {
  auto net = resnet();
  const at::Tensor x = pictures(1);
  CHECK_THROWS_WITH(
      sg::explain(net, x, "layer5", sg::GradCam{}),
      ContainsSubstring("layer \"layer5\": no such submodule of") && ContainsSubstring("nearest: \"layer"));
  CHECK_THROWS_WITH(sg::explain(net, x, "layer4.7", sg::GradCam{}), ContainsSubstring("layer \"layer4.7\""));
  CHECK_THROWS_WITH(sg::explain(net, x, "", sg::GradCam{}), ContainsSubstring("layer"));
  const torch::jit::Module script = scripts::net();
  CHECK_THROWS_WITH(sg::explain(script, torch::randn({1, 3, 8, 8}), "convl", sg::GradCam{}),
                    ContainsSubstring("layer \"convl\": no such submodule") && ContainsSubstring("\"conv1\""));
}

TEST_CASE("a layer that does not run is an error") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))),
          spare(register_module("spare", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).flatten(1); }
    torch::nn::Conv2d conv, spare;
  };
  const auto net = std::make_shared<NetImpl>();
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), "spare", sg::GradCam{}),
                    ContainsSubstring("layer \"spare\": it did not run in the model's forward"));
  CHECK_THROWS_WITH(sg::explain(net, PaperNetImpl::picture(), PaperNet()->fc, sg::GradCam{}),
                    ContainsSubstring("layer"));
  CHECK(sg::explain(net, PaperNetImpl::picture(), "conv", sg::GradCam{}).map().dim() == 3);
}

TEST_CASE("a layer without a spatial output is an error that says which layers have one") {
  auto net = resnet();
  CHECK_THROWS_WITH(sg::explain(net, pictures(1), "fc", sg::GradCam{}),
                    ContainsSubstring("layer \"fc\": its output is [1, 10]") && ContainsSubstring("suggest_layer"));
  const torch::jit::Module script = scripts::net();
  CHECK_THROWS_WITH(sg::explain(script, torch::randn({2, 3, 8, 8}), "fc", sg::GradCam{}),
                    ContainsSubstring("layer \"fc\": its output is [2, 5]"));
}

TEST_CASE("a layer with an output of integers is an error") {
  struct ArgmaxImpl : torch::nn::Module {
    ArgmaxImpl() : scale(register_parameter("scale", torch::ones({1}))) {}
    torch::Tensor forward(const torch::Tensor& x) { return (x * scale).argmax(1, true); }
    torch::Tensor scale;
  };
  struct NetImpl : torch::nn::Module {
    NetImpl() : argmax(register_module("argmax", std::make_shared<ArgmaxImpl>())) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return argmax->forward(x).to(torch::kFloat).flatten(1); }
    std::shared_ptr<ArgmaxImpl> argmax;
  };
  const auto net = std::make_shared<NetImpl>();
  const auto explained = [&](const sg::Layer& layer) {
    return sg::explain(net, torch::randn({1, 3, 4, 4}), layer, sg::GradCam{});
  };
  CHECK_THROWS_WITH(explained(net->argmax), ContainsSubstring("layer") &&
                                                ContainsSubstring("its output is of type Long") &&
                                                ContainsSubstring("floating-point"));
  const torch::jit::Module script = scripts::make(
      "IntegerNet",
      {{"conv", scripts::conv(3, 4)}, {"argmax", scripts::function("Argmax", "torch.argmax(x, 1, True)")}},
      "def forward(self, x):\n  return torch.flatten(self.argmax.forward(self.conv.forward(x)) * 1.0, 1)\n");
  CHECK_THROWS_WITH(sg::explain(script, torch::randn({1, 3, 4, 4}), "argmax", sg::GradCam{}),
                    ContainsSubstring("layer \"argmax\": its output is of type Long"));
}

TEST_CASE("inputs that are no batch are an error") {
  PaperNet net;
  CHECK_THROWS_WITH(sg::explain(net, at::Tensor(), "features", sg::GradCam{}),
                    ContainsSubstring("input: got an undefined tensor"));
  CHECK_THROWS_WITH(sg::explain(net, torch::zeros({4}), "features", sg::GradCam{}),
                    ContainsSubstring("input: got [4]"));
  CHECK_THROWS_WITH(sg::explain(net, torch::zeros({0, 1, 2, 2}), "features", sg::GradCam{}),
                    ContainsSubstring("input: got [0, 1, 2, 2]"));
  CHECK_THROWS_WITH(sg::Pass(net, PaperNetImpl::picture(), {}), ContainsSubstring("layers: got none"));
  // What the model itself says of a wrong input reaches the caller.
  CHECK_THROWS_WITH(sg::explain(net, torch::zeros({1, 3, 2, 2}), "features", sg::GradCam{}),
                    ContainsSubstring("channels"));
}

TEST_CASE("a model that gives no batch is an error") {
  PaperNet net;
  const sg::Model summed(net, [&](const at::Tensor& x) { return net->forward(x).sum(); });
  CHECK_THROWS_WITH(sg::explain(summed, PaperNetImpl::picture(), "features", sg::GradCam{}),
                    ContainsSubstring("model") && ContainsSubstring("[N, "));
  const sg::Model nothing(net, [&](const at::Tensor& x) {
    net->forward(x);
    return at::Tensor();
  });
  CHECK_THROWS_WITH(sg::explain(nothing, PaperNetImpl::picture(), "features", sg::GradCam{}),
                    ContainsSubstring("model"));
  const sg::Model folded(net, [&](const at::Tensor& x) { return net->forward(x).view({-1, 1}); });
  CHECK_THROWS_WITH(sg::explain(folded, PaperNetImpl::picture(), "features", sg::GradCam{}),
                    ContainsSubstring("another batch size than the model's"));
}

TEST_CASE("nothing of the model changes, bit for bit") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  // Gradients that are there already stay as they are.
  net->forward(x).sum().backward();
  net->layer2->parameters().front().requires_grad_(false);
  torch::manual_seed(31);
  const support::Snapshot before(*net);
  const at::Tensor scores = net->forward(x).detach();
  sg::explain(net, x, "layer4", sg::GradCam{});
  sg::explain(net, x, "layer4", sg::Cam{});
  sg::explain(net, x, {net->layer1, net->layer3}, sg::GradCam{}, sg::Target::softmax(2));
  CHECK_THROWS(sg::explain(net, x, "fc", sg::GradCam{}));
  CHECK_THROWS(sg::explain(net, x, "layer1", sg::GradCam{}, 77));
  CHECK(before.difference(support::Snapshot(*net)) == "");
  CHECK(net->forward(x).equal(scores));
  // The model trains afterwards as if nothing had been.
  CHECK(net->forward(x).requires_grad());
}

TEST_CASE("nothing of a TorchScript model changes, bit for bit") {
  torch::manual_seed(3);
  torch::jit::Module net = scripts::net();
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  const auto written = [&] {
    std::stringstream file;
    net.save(file);
    return file.str();
  };
  const std::string before = written();
  std::vector<at::Tensor> values;
  for (const at::Tensor& tensor : net.parameters()) values.push_back(tensor.clone());
  for (const at::Tensor& tensor : net.buffers()) values.push_back(tensor.clone());
  const at::Tensor random = support::random_state();
  const std::string graph = net.get_method("forward").graph()->toString();
  const at::Tensor scores = scripts::run(net, x);
  sg::explain(net, x, "bn1", sg::GradCam{});
  sg::explain(net, x, {sg::layer(net, "blocks.0"), sg::layer(net, "relu")}, sg::GradCam{}, 3);
  sg::layers(net, x);
  size_t i = 0;
  for (const at::Tensor& tensor : net.parameters()) CHECK(tensor.equal(values[i++]));
  for (const at::Tensor& tensor : net.buffers()) CHECK(tensor.equal(values[i++]));
  for (const at::Tensor& tensor : net.parameters()) CHECK_FALSE(tensor.grad().defined());
  CHECK(support::random_state().equal(random));
  CHECK(net.get_method("forward").graph()->toString() == graph);
  CHECK(written() == before);
  CHECK(scripts::run(net, x).equal(scores));
}

TEST_CASE("the input is left as it was, and may require gradients") {
  auto net = resnet();
  const at::Tensor x = pictures(1).requires_grad_(true);
  const at::Tensor copy = x.detach().clone();
  const auto explained = sg::explain(net, x, "layer4", sg::GradCam{});
  CHECK(x.detach().equal(copy));
  CHECK_FALSE(x.grad().defined());
  CHECK(x.requires_grad());
  CHECK(explained.map().equal(sg::explain(net, copy, "layer4", sg::GradCam{}).map()));
  // A model whose first operation writes its input in place does not reach the caller's tensor's graph.
  CHECK_FALSE(explained.map().requires_grad());
  CHECK_FALSE(explained.scores().requires_grad());
}

TEST_CASE("explain works where gradients are off, and leaves the mode as it was") {
  auto net = resnet();
  const at::Tensor x = pictures(1);
  const at::Tensor map = sg::explain(net, x, "layer3", sg::GradCam{}).map();
  CHECK(at::GradMode::is_enabled());
  {
    const torch::NoGradGuard no_gradients;
    CHECK(sg::explain(net, x, "layer3", sg::GradCam{}).map().equal(map));
    CHECK_FALSE(at::GradMode::is_enabled());
    const sg::Pass pass(net, x, {net->layer3});
    CHECK_FALSE(at::GradMode::is_enabled());
    CHECK(pass.explain(0, sg::GradCam{}).map().equal(map));
  }
  CHECK_THROWS(sg::explain(net, x, "fc", sg::GradCam{}));
  CHECK(at::GradMode::is_enabled());
}

TEST_CASE("explain works inside InferenceMode, also with an input that was made there") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const at::Tensor map = sg::explain(net, x, "layer3", sg::GradCam{}).map();
  const std::vector<at::Tensor> several = [&] {
    std::vector<at::Tensor> maps;
    for (const auto& one : sg::explain(net, x, {net->conv1, net->layer2, net->layer4}, sg::GradCam{}))
      maps.push_back(one.map());
    return maps;
  }();
  const c10::InferenceMode inference;
  CHECK(sg::explain(net, x, "layer3", sg::GradCam{}).map().equal(map));
  const at::Tensor made_here = x.clone();
  REQUIRE(made_here.is_inference());
  CHECK(sg::explain(net, made_here, "layer3", sg::GradCam{}).map().equal(map));
  const auto again = sg::explain(net, made_here, {net->conv1, net->layer2, net->layer4}, sg::GradCam{});
  for (size_t i = 0; i < again.size(); ++i) CHECK(relative_error(again[i].map(), several[i]) < 1e-6);
  CHECK(c10::InferenceMode::is_enabled());
  CHECK(again[0].normalised().isfinite().all().item<bool>());
  CHECK(again[0].status(0) == sg::Status::ok);
}

TEST_CASE("an input made in InferenceMode is read by layers after the cut too") {
  // The skip connection multiplies with the input, which autograd must save.
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))),
          other(register_module("other", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      return (conv->forward(x) * x + other->forward(x)).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d conv, other;
  };
  torch::manual_seed(8);
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = PaperNetImpl::picture();
  const at::Tensor map = sg::explain(net, x, net->conv, sg::GradCam{}).map();
  const c10::InferenceMode inference;
  const at::Tensor made_here = x.clone();
  CHECK(sg::explain(net, made_here, net->conv, sg::GradCam{}).map().equal(map));
}

TEST_CASE("a TorchScript model is explained inside InferenceMode") {
  torch::manual_seed(3);
  const torch::jit::Module net = scripts::net();
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  const at::Tensor map = sg::explain(net, x, "bn1", sg::GradCam{}).map();
  const c10::InferenceMode inference;
  const at::Tensor made_here = x.clone();
  CHECK(sg::explain(net, made_here, "bn1", sg::GradCam{}).map().equal(map));
}

TEST_CASE("a model whose weights were made in InferenceMode is refused with the reason") {
  torch::manual_seed(3);
  const torch::jit::Module original = scripts::net();
  const at::Tensor x = torch::randn({2, 3, 8, 8});
  const torch::jit::Module loaded = [&] {
    const c10::InferenceMode inference;  // as programs that only predict load their models
    return scripts::reloaded(original);
  }();
  CHECK_THROWS_WITH(sg::explain(loaded, x, "bn1", sg::GradCam{}, 0),
                    ContainsSubstring("model: its parameter \"conv1.weight\" was made inside of c10::InferenceMode"));
}

TEST_CASE("parameters that require no gradient do not hinder") {
  auto net = resnet();
  const at::Tensor x = pictures(1);
  const at::Tensor map = sg::explain(net, x, "layer2", sg::GradCam{}).map();
  for (auto& parameter : net->parameters()) parameter.requires_grad_(false);
  CHECK(sg::explain(net, x, "layer2", sg::GradCam{}).map().equal(map));
  CHECK(sg::explain(net, x, {net->layer4, net->layer2}, sg::GradCam{})[1].map().equal(map));
  for (const auto& parameter : net->parameters()) CHECK_FALSE(parameter.requires_grad());
}

TEST_CASE("a float64 model gives float64 maps") {
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const at::Tensor single = sg::explain(net, x, "layer3", sg::GradCam{}, 1).map();
  net->to(torch::kDouble);
  const auto explained = sg::explain(net, x.to(torch::kDouble), "layer3", sg::GradCam{}, 1);
  CHECK(explained.map().scalar_type() == at::kDouble);
  CHECK(explained.normalised().scalar_type() == at::kDouble);
  CHECK(relative_error(single, explained.map()) < 1e-4);
  CHECK(sg::explain(net, x.to(torch::kDouble), "layer4", sg::Cam{}, 1).map().scalar_type() == at::kDouble);
  // The formula's sums are done in float64: against autograd in float64.
  const at::Tensor a = net->layer4->forward(net->layer3->forward(net->layer2->forward(net->layer1->forward(
      net->maxpool->forward(torch::relu(net->bn1->forward(net->conv1->forward(x.to(torch::kDouble)))))))));
  const at::Tensor wanted = plain_grad_cam(
      a,
      [&](const at::Tensor& t) {
        return net->fc->forward(t.mean(at::IntArrayRef{2, 3}));
      },
      1);
  CHECK(relative_error(sg::explain(net, x.to(torch::kDouble), "layer4", sg::GradCam{}, 1).map(), wanted) < 1e-12);
}

namespace {

/// Models of 16 bits: maps in float32, near those of float32 (8 or 11 bits of significand, a handful of layers).
void check_sixteen_bits(at::ScalarType type, double tolerance) {
  support::TinyVgg net;
  torch::manual_seed(12);
  net->eval();
  const at::Tensor x = torch::rand({1, 3, 64, 80});
  const at::Tensor wanted = sg::explain(net, x, "features.9", sg::GradCam{}, 1).map();
  const at::Tensor wanted_cam = sg::explain(net, x, "features.9", sg::Cam{torch::ones({10, 24})}, 1).map();
  net->to(type);
  try {
    net->forward(x.to(type)).sum().backward();
  } catch (const c10::Error& error) {
    SKIPPED(std::string(c10::toString(type)) + " convolutions on the CPU: this LibTorch says " +
            error.what_without_backtrace());
  }
  net->zero_grad();
  const auto explained = sg::explain(net, x.to(type), "features.9", sg::GradCam{}, 1);
  CHECK(explained.map().scalar_type() == at::kFloat);
  CHECK(relative_error(explained.map(), wanted) < tolerance);
  const auto cam = sg::explain(net, x.to(type), "features.9", sg::Cam{torch::ones({10, 24})}, 1);
  CHECK(cam.map().scalar_type() == at::kFloat);
  CHECK(relative_error(cam.map(), wanted_cam) < tolerance);
  CHECK(explained.resized(64, 80).scalar_type() == at::kFloat);
  explained.peak(0);
  CHECK(explained.status(0) == sg::Status::ok);
}

}  // namespace

TEST_CASE("a bfloat16 model gives float32 maps") { check_sixteen_bits(at::kBFloat16, .15); }

TEST_CASE("a half model gives float32 maps") { check_sixteen_bits(at::kHalf, .03); }

TEST_CASE("a model on a GPU gives its maps there") {
  NEEDS_GPU;
  auto net = resnet();
  const at::Tensor x = pictures(2);
  const auto on_cpu = sg::explain(net, x, "layer3", sg::GradCam{}, sg::Target(std::vector<int64_t>{1, 2}));
  const auto cam_on_cpu = sg::explain(net, x, "layer4", sg::Cam{});
  net->to(torch::kCUDA);
  const auto explained = sg::explain(net, x.cuda(), "layer3", sg::GradCam{}, sg::Target(std::vector<int64_t>{1, 2}));
  CHECK(explained.map().is_cuda());
  CHECK(explained.scores().is_cuda());
  CHECK(relative_error(explained.map().cpu(), on_cpu.map()) < 1e-3);
  CHECK(explained.status(0) == on_cpu.status(0));
  CHECK(explained.peak(1) == on_cpu.peak(1));
  CHECK(relative_error(sg::explain(net, x.cuda(), "layer4", sg::Cam{}).map().cpu(), cam_on_cpu.map()) < 1e-3);
  CHECK(sg::explain(net, x.cuda(), "layer4", sg::Cam{torch::ones({10, 64})}).map().is_cuda());
}

TEST_CASE("hooks of the user's own live on beside explain") {
  auto net = resnet();
  const at::Tensor x = pictures(1);
  const at::Tensor map = sg::explain(net, x, "layer3", sg::GradCam{}).map();
  const sg::Capture stored(net->layer3);
  CHECK(sg::explain(net, x, "layer3", sg::GradCam{}).map().equal(map));
  const at::Tensor seen = stored.output();
  const torch::NoGradGuard no_gradients;
  net->forward(x);
  CHECK(stored.output().equal(seen));
}

TEST_CASE("Hooked layers and HookPoints are explained") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 4, 3)))),
          relu(register_module("relu", sg::Hooked<torch::nn::ReLU>())),
          here(register_module("here", sg::HookPoint())),
          fc(register_module("fc", torch::nn::Linear(4, 5))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor a = relu->forward(conv->forward(x));
      return fc->forward(here->forward(a * a).mul_(2).mean(at::IntArrayRef{2, 3}));
    }
    torch::nn::Conv2d conv;
    sg::Hooked<torch::nn::ReLU> relu;
    sg::HookPoint here;
    torch::nn::Linear fc;
  };
  torch::manual_seed(5);
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 3, 6, 7});
  const at::Tensor a = torch::relu(net->conv->forward(x));
  const auto from_point = [&](const at::Tensor& t) { return net->fc->forward((t * 2).mean(at::IntArrayRef{2, 3})); };
  const auto from_relu = [&](const at::Tensor& t) { return from_point(t * t); };
  CHECK(relative_error(sg::explain(net, x, "relu", sg::GradCam{}, 1).map(), plain_grad_cam(a, from_relu, 1)) < 1e-5);
  CHECK(relative_error(sg::explain(net, x, "here", sg::GradCam{}, 1).map(), plain_grad_cam(a * a, from_point, 1)) <
        1e-5);
  const auto both = sg::explain(net, x, {net->here, net->relu}, sg::GradCam{}, 1);
  CHECK(relative_error(both[1].map(), plain_grad_cam(a, from_relu, 1)) < 1e-5);
}

TEST_CASE("two threads explain one model at the same time") {
  auto net = resnet();
  const std::vector<at::Tensor> inputs{pictures(1, 1), pictures(1, 2)};
  const std::vector<std::string> layers{"layer4", "layer2"};
  std::vector<at::Tensor> wanted;
  for (size_t i = 0; i < 2; ++i) wanted.push_back(sg::explain(net, inputs[i], layers[i], sg::GradCam{}).map());
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int call = 0; call < 5; ++call) {
        if (!sg::explain(net, inputs[i], layers[i], sg::GradCam{}).map().equal(wanted[i])) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("an explanation outlives model, pass and input") {
  const auto explained = [] {
    auto net = resnet();
    return sg::explain(net, pictures(1), net->layer3, sg::GradCam{}, 2);
  }();
  CHECK(explained.map().equal(sg::explain(resnet(), pictures(1), "layer3", sg::GradCam{}, 2).map()));
  CHECK(explained.peak(0) == sg::explain(resnet(), pictures(1), "layer3", sg::GradCam{}, 2).peak(0));
}

TEST_CASE("the peak lies in the pixels of the model's input, x first, on a picture that is not square") {
  // One bright spot at row 3 of 4, column 9 of 10; the net copies its input.
  PaperNet net;
  at::Tensor x = torch::zeros({1, 1, 4, 10});
  x[0][0][3][9] = 10;
  const auto explained = sg::explain(net, x, "features", sg::GradCam{}, 0);
  CHECK(explained.peak(0) == std::make_pair<int64_t, int64_t>(9, 3));
  const auto [x_in_large, y_in_large] = explained.peak(0, 400, 1000);  // the outer half of the cell is level
  CHECK((x_in_large >= 949 && x_in_large < 1000));
  CHECK((y_in_large >= 349 && y_in_large < 400));
}

TEST_CASE("a model is explained by the path of a layer in its TorchScript file") {
  torch::manual_seed(14);
  const torch::jit::Module net = scripts::reloaded(scripts::net());
  const at::Tensor x = torch::randn({2, 3, 8, 6});
  const auto run = [&](const std::vector<std::string>& path, const at::Tensor& in) {
    return scripts::run(scripts::child(net, path), in);
  };
  const auto head = [&](const at::Tensor& a) { return run({"fc"}, a.mean(at::IntArrayRef{2, 3})); };
  const at::Tensor block0 = run({"blocks", "0"}, torch::relu(run({"bn1"}, run({"conv1"}, x))));
  const at::Tensor block1 = run({"blocks", "1"}, block0.relu());
  CHECK(relative_error(sg::explain(net, x, "blocks.1", sg::GradCam{}, 2).map(), plain_grad_cam(block1, head, 2)) <
        1e-5);
  const auto from_block0 = [&](const at::Tensor& a) { return head(run({"blocks", "1"}, a.relu())); };
  CHECK(relative_error(sg::explain(net, x, "blocks.0", sg::GradCam{}, 2).map(),
                       plain_grad_cam(block0, from_block0, 2)) < 1e-5);
  // A layer that runs twice is taken at its last call.
  CHECK(relative_error(sg::explain(net, x, "relu", sg::GradCam{}, 2).map(), plain_grad_cam(
                                                                                block0.relu(),
                                                                                [&](const at::Tensor& a) {
                                                                                  return head(run({"blocks", "1"}, a));
                                                                                },
                                                                                2)) < 1e-5);
  // Or at the call that is chosen.
  const at::Tensor stem = torch::relu(run({"bn1"}, run({"conv1"}, x)));
  const at::Tensor first = plain_grad_cam(
      stem,
      [&](const at::Tensor& a) {
        return from_block0(run({"blocks", "0"}, a));
      },
      2);
  const sg::Layer relu = sg::layer(net, "relu");
  for (const sg::Model& model : {sg::Model(net), sg::Model(net).optimised()})
    for (int again = 0; again < 3; ++again) {
      CHECK(relative_error(sg::explain(model, x, relu.call(0), sg::GradCam{}, 2).map(), first) < 1e-5);
      CHECK(sg::explain(model, x, relu.call(1), sg::GradCam{}, 2)
                .map()
                .allclose(sg::explain(model, x, relu, sg::GradCam{}, 2).map(), 1e-4, 1e-6));
    }
  CHECK_THROWS_WITH(sg::explain(net, x, relu.call(2), sg::GradCam{}, 2),
                    ContainsSubstring("layer \"relu\": got call 2, it ran 2 times: call 0 to 1"));
  CHECK(relative_error(
            sg::explain(net, x, sg::layer(net, "blocks.1"), sg::Cam{}, 2).map(),
            torch::einsum("nkij,k->nij", {block1, net.attr("fc").toModule().attr("weight").toTensor()[2]}).detach()) <
        1e-5);
}

TEST_CASE("after data-dependent control flow TorchScript layers are explained as they ran") {
  torch::manual_seed(15);
  const torch::jit::Module branching = scripts::branching_net();
  const torch::jit::Module net = scripts::make("Pooled", {{"body", branching}},
                                               "def forward(self, x):\n"
                                               "  return torch.mean(self.body.forward(x), [2, 3])\n");
  const at::Tensor x = torch::randn({1, 3, 5, 5});
  for (const at::Tensor& input : {x.abs(), -x.abs(), x.abs()}) {
    CHECK(sg::explain(net, input, "body.block", sg::GradCam{}, 0).map().sizes() == at::IntArrayRef({1, 5, 5}));
  }
  CHECK(sg::explain(net, x.abs(), "body.block.relu", sg::GradCam{}, 0).map().dim() == 3);
  CHECK_THROWS_WITH(sg::explain(net, -x.abs(), "body.block.relu", sg::GradCam{}, 0),
                    ContainsSubstring("layer \"body.block.relu\": it did not run"));
}
