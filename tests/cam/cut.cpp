#include <sightglass/cam/cut.hpp>
#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>

#include <memory>
#include <optional>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/nets/scripts.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

at::Tensor floats(std::vector<float> values) { return torch::tensor(values); }

/// What a method is given when `layer` of `model` is explained.
sg::Cut cut_of(const sg::Pass& pass, size_t layer = 0, const sg::Target& target = {}) { return pass.at(layer, target); }

}  // namespace

TEST_CASE("a cut gives a method activations, gradients, score, class, output and the layer's name") {
  PaperNet net;
  const sg::Pass pass(net, PaperNetImpl::picture(), {sg::layer(net, "features")});
  const sg::Cut cut = cut_of(pass, 0, sg::Target(1));
  CHECK(cut.activations().equal(floats({1, 2, 3, 4, /**/ 2, 1, 0, 0}).view({1, 2, 2, 2})));
  CHECK(cut.gradients().equal(floats({-.25f, -.25f, -.25f, -.25f, /**/ .25f, .25f, .25f, .25f}).view({1, 2, 2, 2})));
  CHECK(cut.scores().equal(floats({-1.75f})));
  CHECK(cut.classes().equal(torch::tensor({1}, at::kLong)));
  CHECK(cut.has_class());
  CHECK(cut.output().equal(floats({4, -1.75f}).view({1, 2})));
  CHECK(cut.layer_name() == "features");
  CHECK(cut.model().parameters().size() == 3);
}

TEST_CASE("what a method is given has no graph") {
  PaperNet net;
  const sg::Pass pass(net, PaperNetImpl::picture(), {sg::layer(net, "features")});
  const sg::Cut cut = cut_of(pass);
  CHECK_FALSE(cut.activations().requires_grad());
  CHECK_FALSE(cut.gradients().requires_grad());
  CHECK_FALSE(cut.scores().requires_grad());
  CHECK_FALSE(cut.output().requires_grad());
}

TEST_CASE("gradients are computed when a method asks for them, once for all layers of a target") {
  PaperNet net;
  int asked = 0;
  const sg::Target target = [&](const at::Tensor& output) {
    ++asked;
    return output.select(1, 0);
  };
  const sg::Pass pass(net, PaperNetImpl::picture(), {sg::layer(net, "features"), sg::layer(net, "features.0")});
  const sg::Cut first = cut_of(pass, 0, target);
  CHECK_FALSE(first.used_gradients());
  const at::Tensor gradients = first.gradients();
  CHECK(first.used_gradients());
  CHECK(first.gradients().is_same(gradients));
  // The second layer and later cuts of this target are served by the same backward pass.
  CHECK(cut_of(pass, 0, target).gradients().is_same(gradients));
  CHECK(cut_of(pass, 1, target).gradients().sizes() == at::IntArrayRef({1, 2, 2, 2}));
  CHECK(asked == 1);
}

TEST_CASE("a method that asks for no gradient works on a model that has none after the layer") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) {
      const torch::Tensor a = conv->forward(x);
      const torch::NoGradGuard no_gradients;  // as people write inference code
      return a.mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d conv;
  };
  const auto net = std::make_shared<NetImpl>();
  const auto mean_map = [](const sg::Cut& cut) { return cut.activations().mean(1); };
  CHECK(sg::explain(net, PaperNetImpl::picture(), net->conv, mean_map).map().sizes() == at::IntArrayRef({1, 2, 2}));
  CHECK_THROWS_WITH(
      sg::explain(net, PaperNetImpl::picture(), net->conv, sg::GradCam{}),
      ContainsSubstring("target: its score has no gradient with respect to layer") && ContainsSubstring("NoGradGuard"));
}

TEST_CASE("activations are those at the layer's end, whatever writes them afterwards") {
  PaperNet net;  // an in-place ReLU follows features.0
  const sg::Pass pass(net, PaperNetImpl::picture(), {sg::layer(net, "features.0"), sg::layer(net, "features.1")});
  CHECK(cut_of(pass, 0).activations().equal(floats({1, 2, 3, 4, /**/ 2, 1, 0, -1}).view({1, 2, 2, 2})));
  CHECK(cut_of(pass, 1).activations().equal(floats({1, 2, 3, 4, /**/ 2, 1, 0, 0}).view({1, 2, 2, 2})));
}

TEST_CASE("gradients are those at the layer's end, whatever writes the tensor afterwards") {
  // Against a twin without operations in place, by plain autograd. log_softmax at the end.
  torch::manual_seed(11);
  nets::ConvNet net;
  nets::OutOfPlaceConvNet twin;
  {
    const torch::NoGradGuard no_gradients;
    auto from = net->named_parameters();
    for (auto& item : twin->named_parameters()) item.value().copy_(from[item.key()]);
  }
  net->eval();
  twin->eval();
  const at::Tensor x = torch::randn({3, 3, 10, 12});
  const at::Tensor score = twin->forward(x).select(1, 2).sum();
  const auto wanted = torch::autograd::grad({score}, {twin->first, twin->second});

  const sg::Pass pass(net, x, {net->conv1, net->conv2});
  CHECK(cut_of(pass, 0, 2).activations().equal(twin->first));
  CHECK(cut_of(pass, 1, 2).activations().equal(twin->second));
  CHECK(torch::allclose(cut_of(pass, 0, 2).gradients(), wanted[0], 1e-5, 1e-8));
  CHECK(torch::allclose(cut_of(pass, 1, 2).gradients(), wanted[1], 1e-5, 1e-8));
}

TEST_CASE("gradients are exact before every kind of write in place") {
  // Each tail writes what the layer gave, and has an equal that does not.
  struct Tail {
    const char* name;
    std::function<at::Tensor(at::Tensor)> in_place;
    std::function<at::Tensor(at::Tensor)> out_of_place;
  };
  const at::Tensor other = torch::tensor({.5f, -2.f}).view({1, 2, 1, 1});
  const std::vector<Tail> tails{
      {"relu_", [](at::Tensor a) { return a.relu_() * a; }, [](at::Tensor a) { return a.relu() * a.relu(); }},
      {"+=",
       [&](at::Tensor a) {
         a += other;
         return a * a;
       },
       [&](at::Tensor a) { return (a + other) * (a + other); }},
      {"mul_ twice", [](at::Tensor a) { return a.mul_(3).mul_(2); }, [](at::Tensor a) { return a * 6; }},
      {"mul_ by itself", [](at::Tensor a) { return a.mul_(a.sigmoid()); },
       [](at::Tensor a) { return a * a.sigmoid(); }},
      {"write to a part",
       [](at::Tensor a) {
         a.select(1, 0).mul_(4);
         return a * a;
       },
       [](at::Tensor a) {
         const at::Tensor b = a * torch::tensor({4.f, 1.f}).view({1, 2, 1, 1});
         return b * b;
       }},
      {"copy_ over a part",
       [](at::Tensor a) {
         a.select(1, 1).zero_();
         return a * a;
       },
       [](at::Tensor a) {
         const at::Tensor b = a * torch::tensor({1.f, 0.f}).view({1, 2, 1, 1});
         return b * b;
       }},
      {"write to a reshaped look",
       [](at::Tensor a) {
         a.flatten(1).relu_();
         return a * 2;
       },
       [](at::Tensor a) { return a.relu() * 2; }},
      {"nothing", [](at::Tensor a) { return a * a; }, [](at::Tensor a) { return a * a; }},
  };
  struct NetImpl : torch::nn::Module {
    NetImpl() : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(3, 2, 3)))) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return tail(conv->forward(x)).mean(at::IntArrayRef{2, 3}); }
    torch::nn::Conv2d conv;
    std::function<at::Tensor(at::Tensor)> tail;
  };
  torch::manual_seed(2);
  const auto net = std::make_shared<NetImpl>();
  const at::Tensor x = torch::randn({2, 3, 7, 6});
  for (const Tail& tail : tails) {
    INFO(tail.name);
    net->tail = tail.in_place;
    const sg::Pass pass(net, x, {net->conv});
    const sg::Cut cut = cut_of(pass, 0, 1);
    const at::Tensor activations = net->conv->forward(x).detach().requires_grad_(true);
    const at::Tensor score = tail.out_of_place(activations).mean(at::IntArrayRef{2, 3}).select(1, 1).sum();
    CHECK(cut.activations().equal(activations));
    CHECK(torch::allclose(cut.gradients(), torch::autograd::grad({score}, {activations}).front(), 1e-5, 1e-7));
    CHECK(torch::allclose(cut.scores().sum(), score, 1e-5, 1e-6));
  }
}

TEST_CASE("the same writes in place are served in TorchScript") {
  torch::manual_seed(4);
  const torch::jit::Module net = scripts::traced_net();  // relu_ after stem, add_ after block.conv
  const at::Tensor x = torch::randn({2, 3, 6, 5});
  const sg::Pass pass(net, x, {sg::layer(net, "stem"), sg::layer(net, "block.conv"), sg::layer(net, "block.act")});
  const at::Tensor stem = scripts::run(scripts::child(net, {"stem"}), x).detach().requires_grad_(true);
  const at::Tensor conv = scripts::run(scripts::child(net, {"block", "conv"}), stem.relu());
  const at::Tensor act = (conv + stem.relu()).relu();
  const at::Tensor logits = scripts::run(scripts::child(net, {"fc"}), act.mean(at::IntArrayRef{2, 3}));
  const at::Tensor score = torch::log_softmax(logits, 1).select(1, 3);
  const auto wanted = torch::autograd::grad({score.sum()}, {stem, conv, act});
  const std::vector<at::Tensor> activations{stem, conv, act};
  for (size_t i = 0; i < 3; ++i) {
    INFO(pass.layer_name(i));
    CHECK(torch::allclose(cut_of(pass, i, 3).activations(), activations[i], 1e-5, 1e-6));
    CHECK(torch::allclose(cut_of(pass, i, 3).gradients(), wanted[i], 1e-4, 1e-7));
  }
}

TEST_CASE("maps are computed in float32 for half and bfloat16, and in float64 for float64") {
  CHECK(sg::detail::map_dtype(torch::zeros({1}, at::kFloat)) == at::kFloat);
  CHECK(sg::detail::map_dtype(torch::zeros({1}, at::kDouble)) == at::kDouble);
  CHECK(sg::detail::map_dtype(torch::zeros({1}, at::kHalf)) == at::kFloat);
  CHECK(sg::detail::map_dtype(torch::zeros({1}, at::kBFloat16)) == at::kFloat);
}

TEST_CASE("a layer after which nothing reaches the score has gradients of 0") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : used(register_module("used", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))),
          unused(register_module("unused", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 3, 1)))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) {
      unused->forward(x);
      return used->forward(x).mean(at::IntArrayRef{2, 3});
    }
    torch::nn::Conv2d used, unused;
  };
  const auto net = std::make_shared<NetImpl>();
  const auto explained = sg::explain(net, PaperNetImpl::picture(), {net->used, net->unused}, sg::GradCam{});
  CHECK(explained[1].status(0) == sg::Status::zero_gradient);
  CHECK(explained[1].map().equal(torch::zeros({1, 2, 2})));
  CHECK(explained[0].status(0) != sg::Status::zero_gradient);
}
