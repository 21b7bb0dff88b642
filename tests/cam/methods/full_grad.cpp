#include <sightglass/cam/explain.hpp>
#include <sightglass/cam/methods/full_grad.hpp>

#include <algorithm>
#include <iostream>
#include <string>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/nets/small.hpp"
#include "support/harness/snapshot.hpp"
#include "support/nets/tiny.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;
using support::References;

namespace {

/// Each image's parts, summed over everything.
at::Tensor totals(const std::vector<at::Tensor>& parts) {
  at::Tensor sum = torch::zeros({parts.front().size(0)}, at::kDouble);
  for (const at::Tensor& part : parts) sum += part.to(at::kDouble).flatten(1).sum(1);
  return sum;
}

/// The worst relative error of the stored maps.
double check_maps(const References& refs, const sg::Model& model, const std::string& layer) {
  double worst = 0;
  int compared = 0;
  for (const support::Entry& stored : refs.cases("FullGrad")) {
    if (stored.text("peer") != "plain torch float64") continue;
    const auto explained =
        sg::explain(model, refs.input(), layer, sg::FullGrad{}, sg::Target(stored.tensor("targets")));
    worst = std::max(worst, support::relative_error(explained.map(), stored.tensor("map")));
    ++compared;
  }
  CHECK(compared == 1);
  CHECK(worst < 1e-4);
  return worst;
}

}  // namespace

TEST_CASE("FullGrad of a net computed on paper") {
  PaperNet net;
  const sg::Pass pass(sg::Model(net), PaperNetImpl::picture(), {sg::Layer(net->features)});
  const sg::Cut cut = pass.at(0, sg::Target(0));
  const auto parts = sg::FullGrad{}.parts(cut);
  REQUIRE(parts.size() == 2);
  // The gradient is 1/4 - 2/4 where A1 > 0, else 1/4; the biases are 0 and 3, the gradient at the second is 2/4 where
  // A1 > 0, though an in-place ReLU follows. Together: the score.
  CHECK(parts[0].flatten().equal(torch::tensor({-.25f, -.5f, .75f, 1.f})));
  CHECK(parts[1].flatten().equal(torch::tensor({0.f, 0.f, 0.f, 0.f, 1.5f, 1.5f, 0.f, 0.f})));
  CHECK(totals(parts).item<double>() == cut.scores().item<float>());
  // (0 1/3; 2/3 1) and (1 1; 0 0).
  CHECK(support::near(sg::FullGrad{}(cut), torch::tensor({1.f, 4 / 3.f, 2 / 3.f, 1.f}).view({1, 2, 2})));
}

TEST_CASE("FullGrad scales a part by its extremes over channels and places, image by image, and aligns corners") {
  // Magnitudes from 1 to 5: (0 1) and (.25 .5) over two channels; the second image is the same everywhere.
  const at::Tensor part = torch::tensor({-1.f, 5.f, 2.f, -3.f, 7.f, -7.f, 7.f, 7.f}).view({2, 2, 1, 2});
  const at::Tensor map = sg::detail::full_grad_map(part, {1, 3});
  CHECK(support::near(map, torch::tensor({.25f, .875f, 1.5f, 0.f, 0.f, 0.f}).view({2, 1, 3})));
}

TEST_CASE("FullGrad agrees with the authors' formula, and its parts sum to the score") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  for (const std::string name : {"tinyresnet", "tinyvgg", "tinycam"}) {
    INFO(name);
    const References refs(name);
    const torch::jit::Module script = refs.script();
    const std::string layer = refs.layers().front().text("layer");
    const double error = check_maps(refs, script, layer);
    const sg::Pass pass(script, refs.input(), {sg::layer(script, layer)});
    const at::Tensor total = totals(sg::FullGrad{}.parts(pass.at(0, sg::Target(refs.top1()))));
    const double incomplete =
        support::relative_error(total.unsqueeze(1), refs.entry("fullgrad_completeness64").tensor("total").unsqueeze(1));
    CHECK(incomplete < 1e-4);
    std::cout << "measured: FullGrad, " << name << ": worst relative error " << error << ", of the sum " << incomplete
              << std::endl;
  }
}

TEST_CASE("FullGrad of a torch::nn network is that of its TorchScript file, and changes nothing") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const References refs("tinyresnet");
  support::TinyResNet net;
  refs.load_into(*net);
  net->eval();
  const support::Snapshot before(*net);
  check_maps(refs, net, "layer4");
  CHECK(before.difference(support::Snapshot(*net)).empty());
  CHECK(sg::detail::thread_state().listener == nullptr);
  // Without its linear layer's bias, the parts are the whole score.
  const sg::Pass pass(sg::Model(net), refs.input(), {sg::Layer(net->layer1)});
  const sg::Cut cut = pass.at(0, sg::Target(refs.top1()));
  const at::Tensor wanted = cut.scores() - net->fc->bias.index_select(0, refs.top1()).detach();
  CHECK(torch::allclose(totals(sg::FullGrad{}.parts(cut)).to(at::kFloat), wanted, 1e-4, 1e-4));
}

TEST_CASE("FullGrad: a batch is its images, precision is kept, in inference mode too") {
  support::check_batch_is_its_images(sg::FullGrad{});
  support::check_precision_and_modes(sg::FullGrad{});
}
