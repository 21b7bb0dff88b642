#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/ablation_cam.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>
#include <sightglass/cam/pass.hpp>

#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

at::Tensor rows(std::vector<int64_t> numbers) { return torch::tensor(numbers, torch::kLong); }

/// score = sum over places of (A0^2 + A0 A1), A the layer's two channels.
struct QuadraticImpl : torch::nn::Module {
  QuadraticImpl() {
    register_module("conv", conv);
    const torch::NoGradGuard no_gradients;
    conv->weight.copy_(torch::tensor({1.f, 2.f}).view({2, 1, 1, 1}));
    eval();
  }
  torch::Tensor forward(const torch::Tensor& x) {
    const torch::Tensor a = conv->forward(x);
    return (a.select(1, 0).square() + a.select(1, 0) * a.select(1, 1)).flatten(1).sum(1, true);
  }
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 2, 1).bias(false)};
};

}  // namespace

TEST_CASE("a cut tells scores of other inputs, each for the target of the image it was made from") {
  PaperNet net;
  const at::Tensor x = at::cat({PaperNetImpl::picture(), PaperNetImpl::picture() * -1});
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->features)});
  const sg::Cut cut = pass.at(0, sg::Target({0, 1}));
  const at::Tensor other = at::cat({x, x});
  const torch::NoGradGuard no_gradients;
  const at::Tensor output = net->forward(other);
  const at::Tensor wanted = at::stack({output[0][1], output[1][0], output[2][0], output[3][1]});
  CHECK(cut.scores_of(other, rows({1, 0, 0, 1})).equal(wanted));
}

TEST_CASE("a prediction stays what it was for the image, whatever the changed input would give") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();  // scores 4 and -1.75: class 0
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->features)});
  const at::Tensor far = torch::full({1, 1, 2, 2}, -5.f);  // A0 = 0, A1 = 8: class 0 gives 16
  CHECK(pass.at(0).scores_of(far, rows({0})).item<float>() == 16.f);
  CHECK(pass.at(0, sg::Target(1)).scores_of(far, rows({0})).item<float>() == 8.f);
}

TEST_CASE("a segmentation target takes each image's mask along") {
  struct PlaneImpl : torch::nn::Module {
    PlaneImpl() {
      register_module("conv", conv);
      const torch::NoGradGuard no_gradients;
      conv->weight.fill_(1.f);
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x); }
    torch::nn::Conv2d conv{torch::nn::Conv2dOptions(1, 1, 1).bias(false)};
  };
  const auto net = std::make_shared<PlaneImpl>();
  const at::Tensor x = torch::arange(8, torch::kFloat).view({2, 1, 2, 2});
  at::Tensor masks = torch::zeros({2, 2, 2});
  masks[0][0][0] = 1;
  masks[1][1][1] = 1;
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->conv)});
  const sg::Cut cut = pass.at(0, sg::Target::segmentation(0, masks));
  CHECK(cut.scores_of(x.index_select(0, rows({1, 0, 1})), rows({1, 0, 1})).equal(torch::tensor({7.f, 0.f, 7.f})));
}

TEST_CASE("a cut tells scores for other activations") {
  PaperNet net;
  const sg::Pass pass(sg::Model(net), PaperNetImpl::picture(), {sg::Layer(net->features)}, sg::Tail::again);
  const at::Tensor changed = at::stack({torch::ones({2, 2, 2}), torch::zeros({2, 2, 2})});
  CHECK(pass.at(0, sg::Target(0)).scores_with(changed, rows({0, 0})).equal(torch::tensor({3.f, 0.f})));
}

TEST_CASE("a cut gives the Hessian's product with a vector, and 0 where the score is linear") {
  const auto net = std::make_shared<QuadraticImpl>();
  const at::Tensor x = torch::tensor({1.f, -3.f}).view({1, 1, 1, 2});
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->conv)});
  const sg::Cut cut = pass.at(0, sg::Target(0));
  const at::Tensor v = torch::tensor({1.f, 2.f, /**/ 10.f, 20.f}).view({1, 2, 1, 2});
  // H = (2 1; 1 0) at each place: (2 v0 + v1, v0).
  CHECK(cut.hessian_times(v).equal(torch::tensor({12.f, 24.f, /**/ 1.f, 2.f}).view({1, 2, 1, 2})));
  CHECK(cut.gradients().equal(torch::tensor({4.f, -12.f, /**/ 1.f, -3.f}).view({1, 2, 1, 2})));

  PaperNet linear;
  const sg::Pass other(sg::Model(linear), PaperNetImpl::picture(), {sg::Layer(linear->features)});
  CHECK(other.at(0, sg::Target(0)).hessian_times(torch::ones({1, 2, 2, 2})).equal(torch::zeros({1, 2, 2, 2})));
}

TEST_CASE("a cut gives gradients with respect to another input, and leaves parameters without") {
  PaperNet net;
  const sg::Pass pass(sg::Model(net), PaperNetImpl::picture(), {sg::Layer(net->features)});
  // Class 0 at (1 2; 3 4): A0 gives 1/4 everywhere, A1 takes 2/4 where 3 - x is above 0.
  const at::Tensor g = pass.at(0, sg::Target(0)).input_gradients(PaperNetImpl::picture(), rows({0}));
  CHECK(g.equal(torch::tensor({-.25f, -.25f, .25f, .25f}).view({1, 1, 2, 2})));
  for (const at::Tensor& parameter : net->parameters()) CHECK_FALSE(parameter.grad().defined());
}

TEST_CASE("a cut can be had again on another input, and outlives the pass that made it") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->features)});
  const sg::Cut cut = pass.at(0, sg::Target(0)).again(at::cat({x, x * 2}), rows({0, 0}));
  CHECK(cut.activations()[0].equal(pass.at(0).activations()[0]));
  const at::Tensor map = sg::grad_cam(cut.activations(), cut.gradients());
  CHECK(map[1].equal(sg::explain(net, x * 2, net->features, sg::GradCam{}, sg::Target(0)).map()[0]));
}

TEST_CASE("another target at the same cut costs no other forward pass") {
  PaperNet net;
  const sg::Pass pass(sg::Model(net), PaperNetImpl::picture(), {sg::Layer(net->features)});
  const sg::Cut other = pass.at(0, sg::Target(0)).with_target(sg::Target(1));
  CHECK(other.scores().equal(torch::tensor({-1.75f})));
  CHECK(other.gradients()[0][0].equal(torch::full({2, 2}, -.25f)));
}

TEST_CASE("a method may give a map of another size, but not one that has channels") {
  PaperNet net;
  const sg::Pass pass(sg::Model(net), PaperNetImpl::picture(), {sg::Layer(net->features)});
  const auto larger = [](const sg::Cut& cut) { return torch::zeros({cut.activations().size(0), 5, 7}); };
  CHECK(pass.explain(0, larger).map().sizes() == at::IntArrayRef({1, 5, 7}));
  const auto forgetful = [](const sg::Cut& cut) { return cut.activations(); };
  CHECK_THROWS_WITH(pass.explain(0, forgetful), ContainsSubstring("method: got a map [1, 2, 2, 2]"));
}

TEST_CASE("a cut that is kept longer than its pass still gives gradients, and runs the model again") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  for (const sg::Model& model : {sg::Model(net), sg::Model(net).optimised()}) {
    for (const sg::Tail tail : {sg::Tail::once, sg::Tail::again}) {
      const auto kept = [&] { return sg::Pass(model, x, {sg::Layer(net->features)}, tail).at(0, sg::Target(0)); };
      const sg::Cut cut = kept();
      CHECK(cut.gradients().select(1, 1).equal(torch::full({1, 2, 2}, .5f)));
      CHECK(cut.hessian_times(torch::ones({1, 2, 2, 2})).equal(torch::zeros({1, 2, 2, 2})));
      CHECK(cut.scores_with(torch::ones({2, 2, 2, 2}), rows({0, 0})).equal(torch::tensor({3.f, 3.f})));
      CHECK(cut.scores_of(x * 2, rows({0})).equal(torch::tensor({5.5f})));
      CHECK(cut.with_target(sg::Target(1)).scores().equal(torch::tensor({-1.75f})));
      CHECK(cut.again(x * 2, rows({0})).scores().equal(torch::tensor({5.5f})));
      CHECK(cut.input().equal(x));
      CHECK(cut.layer_name() == "torch::nn::SequentialImpl");
      CHECK(cut.model().parameters().size() == 3);
    }
  }
}

TEST_CASE("a cut that is kept longer than its pass keeps the shape in which it is seen") {
  PaperNet net;
  const auto flat = [&] {
    const sg::Pass pass(net, PaperNetImpl::picture(), {sg::Layer(net->features)});
    return pass.at(0, sg::Target(0))
        .reshaped({[](const at::Tensor& y) { return y.flatten(2); },
                   [](const at::Tensor& maps, const at::Tensor&) {
                     return maps.unflatten(2, std::vector<int64_t>{2, 2});
                   }});
  };
  const sg::Cut cut = flat();
  CHECK(cut.activations().sizes() == at::IntArrayRef({1, 2, 4}));
  CHECK(cut.gradients().select(1, 0).equal(torch::full({1, 4}, .25f)));
  CHECK(cut.scores_with(torch::ones({1, 2, 4}), rows({0})).equal(torch::tensor({3.f})));
  CHECK(cut.with_target(sg::Target(1)).activations().sizes() == at::IntArrayRef({1, 2, 4}));
  CHECK(cut.as_given().activations().sizes() == at::IntArrayRef({1, 2, 2, 2}));
}
