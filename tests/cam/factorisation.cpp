#include <sightglass/cam/factorisation.hpp>
#include <sightglass/cam/pass.hpp>
#include <sightglass/cam/reshaped.hpp>

#include <algorithm>
#include <iostream>
#include <string>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

TEST_CASE("activations made of two concepts are taken apart into them, the stronger first") {
  // The places where one is seen, and the channels that it consists of, do not overlap.
  const at::Tensor first = torch::tensor({0.f, 2.f, 4.f, 0.f, 0.f, 0.f}).view({2, 1, 3});
  const at::Tensor second = torch::tensor({0.f, 0.f, 0.f, 1.f, .5f, 0.f}).view({2, 1, 3});
  const at::Tensor a = torch::stack({first * 3, second, first, second * 2}, 1);  // [2, 4, 1, 3]
  const sg::Concepts found = sg::factorise(a, 2);
  CHECK(found.relative_error < 1e-6);
  CHECK(torch::allclose(found.maps.select(1, 0), first / 4, 1e-4, 1e-5));
  CHECK(torch::allclose(found.maps.select(1, 1), second, 1e-4, 1e-5));
  CHECK(torch::allclose(found.vectors, torch::tensor({{12.f, 0.f, 4.f, 0.f}, {0.f, 1.f, 0.f, 2.f}}), 1e-4, 1e-5));
}

TEST_CASE("a factorisation has no negative element, scales each map to 1, and reports its error") {
  torch::manual_seed(2);
  const at::Tensor a = torch::randn({2, 6, 3, 4});
  const sg::Concepts found = sg::factorise(a, 3);
  CHECK(found.maps.sizes() == at::IntArrayRef{2, 3, 3, 4});
  CHECK(found.vectors.sizes() == at::IntArrayRef{3, 6});
  CHECK(found.maps.min().item<float>() >= 0);
  CHECK(found.vectors.min().item<float>() >= 0);
  CHECK(torch::allclose(found.maps.amax({0, 2, 3}), torch::ones({3})));
  const at::Tensor rest = a.relu() - torch::einsum("nkhw,kc->nchw", {found.maps, found.vectors});
  CHECK(found.relative_error == Approx((rest.norm() / a.relu().norm()).item<double>()).epsilon(1e-4));
  CHECK(found.relative_error < sg::factorise(a, 3, 0).relative_error);
  CHECK(sg::factorise(a, 3).maps.equal(found.maps));
  // Rank by rank nothing fits better than the singular values allow.
  const at::Tensor matrix = a.relu().movedim(1, -1).reshape({-1, 6});
  const at::Tensor beyond = torch::linalg_svdvals(matrix).slice(0, 3);
  CHECK(found.relative_error >= (beyond.norm() / matrix.norm()).item<double>());
}

TEST_CASE("a factorisation takes one and three spatial dimensions, nothing at all, and no NaN") {
  const at::Tensor a = torch::rand({2, 3, 4});
  CHECK(sg::factorise(a, 2).maps.sizes() == at::IntArrayRef{2, 2, 4});
  CHECK(torch::allclose(sg::factorise(a.view({2, 3, 2, 1, 2}), 2).maps.flatten(2), sg::factorise(a, 2).maps));
  const sg::Concepts none = sg::factorise(torch::zeros({1, 3, 2, 2}), 2);
  CHECK(none.relative_error == 0);
  CHECK(none.maps.equal(torch::zeros({1, 2, 2, 2})));
  CHECK_THROWS_WITH(sg::factorise(a * NAN, 2), ContainsSubstring("activations: hold NaN or infinity"));
  CHECK_THROWS_WITH(sg::factorise(a, 4), ContainsSubstring("count: got 4 concepts, expected 1 to 3"));
  CHECK_THROWS_WITH(sg::factorise(a, 0), ContainsSubstring("count: got 0"));
}

TEST_CASE("a concept's output is the model's where the layer gives it everywhere") {
  support::SmallNet net = support::small_net();
  for (const sg::Tail tail : {sg::Tail::once, sg::Tail::again}) {
    const sg::Pass pass(sg::Model(net), support::small_pictures(2), {sg::Layer(net->features)}, tail);
    const sg::Cut cut = pass.at(0);
    const sg::Concepts found = sg::factorise(cut.activations(), 4);
    const at::Tensor outputs = sg::outputs_of_concepts(cut, found.vectors);
    REQUIRE(outputs.sizes() == at::IntArrayRef{4, 3});
    for (int64_t k = 0; k < 4; ++k) {
      const at::Tensor everywhere = found.vectors[k].view({1, 5, 1, 1}) * torch::ones({1, 5, 4, 3});
      CHECK(support::near(outputs[k], net->head(everywhere)[0].detach()));
    }
    CHECK_THROWS_WITH(sg::outputs_of_concepts(cut, torch::ones({2, 4})), ContainsSubstring("vectors: got [2, 4]"));
  }
}

TEST_CASE("a concept of tokens is put back among them") {
  struct NetImpl : torch::nn::Module {
    NetImpl() : patches(register_module("patches", torch::nn::Linear(2, 3))) { eval(); }
    torch::Tensor forward(const torch::Tensor& x) { return patches->forward(x).square().sum(1); }
    torch::nn::Linear patches;
  };
  const auto net = std::make_shared<NetImpl>();
  const sg::Pass pass(net, torch::randn({2, 7, 2}), {net->patches});
  const sg::Cut tokens = pass.at(0, sg::Target(0));
  const sg::Cut cut = tokens.reshaped(sg::Reshape::tokens(2, 3));
  const at::Tensor vectors = torch::tensor({{1.f, 2.f, 3.f}, {0.f, 1.f, 0.f}});
  // Six places and the class token of the first image.
  const at::Tensor wanted = vectors.square() * 6 + tokens.as_given().activations()[0][0].square();
  CHECK(support::near(sg::outputs_of_concepts(cut, vectors), wanted));
}

TEST_CASE("a factorisation is as exact as pytorch-grad-cam's of the same matrix") {
  if (!support::References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  for (const std::string name : {"tinyresnet", "tinyvgg", "tinycam", "tinyvit"}) {
    INFO(name);
    const support::References refs(name);
    REQUIRE(refs.cases("DeepFeatureFactorization").size() == 1);
    const support::Entry stored = refs.cases("DeepFeatureFactorization").front();
    const auto layers = refs.layers();
    const auto layer = std::find_if(layers.begin(), layers.end(),
                                    [&](const auto& one) { return one.text("layer") == stored.text("layer"); });
    REQUIRE(layer != layers.end());
    // The peer's matrix: above each channel's minimum.
    const at::Tensor a = layer->tensor("activations");
    const sg::Concepts found = sg::factorise(a - a.amin({0, 2, 3}, true), 4);
    const double theirs = stored.at("relative_error").toDouble();
    CHECK(found.relative_error <= 1.02 * theirs);
    std::cout << "measured: factorisation, " << name << ": relative error " << found.relative_error
              << ", pytorch-grad-cam's " << theirs << std::endl;
  }
}
