#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/guided_backprop.hpp>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

TEST_CASE("guided backpropagation of a net computed on paper") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const auto map = [&](int64_t index) {
    return sg::explain(net, x, net->features, sg::GuidedBackprop{}, sg::Target(index)).map();
  };
  // Class 0: both weights are positive, so it is the gradient, 1/4 - 2/4 where A1 > 0, else 1/4.
  CHECK(map(0).equal(torch::full({1, 2, 2}, .25f)));
  // Class 1: A0's gradients are below 0 and stop; A1's go on, -1/4, where A1 > 0.
  CHECK(map(1).equal(torch::tensor({.25f, .25f, 0.f, 0.f}).view({1, 2, 2})));
}

TEST_CASE("Guided Grad-CAM is guided backpropagation times the enlarged map") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const sg::Pass pass(sg::Model(net), x, {sg::Layer(net->features)});
  const sg::Cut cut = pass.at(0, sg::Target(0));
  // Grad-CAM is (1.25 1; .75 1), of the input's size already.
  CHECK(sg::GuidedGradCam{}.attributions(cut).equal(torch::tensor({-.3125f, -.25f, .1875f, .25f}).view({1, 1, 2, 2})));
}

TEST_CASE("guided backpropagation leaves nothing behind") {
  PaperNet net;
  const at::Tensor x = PaperNetImpl::picture();
  const auto plain = sg::explain(net, x, net->features[0], sg::GradCam{}, sg::Target(1)).map();
  sg::explain(net, x, net->features, sg::GuidedBackprop{}, sg::Target(1));
  CHECK(sg::explain(net, x, net->features[0], sg::GradCam{}, sg::Target(1)).map().equal(plain));
  CHECK(sg::detail::thread_state().listener == nullptr);
}

TEST_CASE("guided backpropagation agrees with the references, whose ReLUs are all modules") {
  if (!support::References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  for (const std::string name : {"tinyresnet", "tinyvgg"}) {
    INFO(name);
    const support::References refs(name);
    const torch::jit::Module script = refs.script();
    REQUIRE_FALSE(refs.cases("GuidedBackprop").empty());
    for (const support::Entry& stored : refs.cases("GuidedBackprop")) {
      const at::Tensor wanted = stored.tensor("map");
      const sg::Pass pass(script, refs.input().slice(0, 0, wanted.size(0)),
                          {sg::layer(script, refs.layers().front().text("layer"))});
      const sg::Cut cut = pass.at(0, sg::Target(stored.tensor("targets").slice(0, 0, wanted.size(0))));
      CHECK(support::relative_error(sg::GuidedBackprop{}.attributions(cut), wanted) < 1e-4);
    }
  }
}
