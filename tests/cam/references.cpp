// CAM and Grad-CAM against the stored references of ../shared/refs.

#include <sightglass/sightglass.hpp>

#include <iostream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/refs.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::Entry;
using support::References;
using support::relative_error;

namespace {

constexpr double tolerance = 1e-4;

/// Points 7 of the references' README: these peers take the tensor after the in-place activation that follows.
bool peer_departs_from_paper(const Entry& stored) {
  const bool written_in_place = stored.text("layer") == "layer3.0.bn1" || stored.text("layer") == "grouped_bn";
  const std::string peer = stored.text("peer");
  return written_in_place && (peer == "grad-cam 1.5.7" || peer == "torchcam 0.5.0");
}

/// Worst errors by method and peer, printed for whoever reads the log.
class Report {
 public:
  explicit Report(std::string title) : title_(std::move(title)) {}
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() {
    for (const auto& [what, entry] : worst_) {
      std::cout << "measured: " << title_ << ": " << what << ": worst relative error " << entry.first << " in "
                << entry.second << " cases" << std::endl;
    }
  }
  void add(const std::string& what, double error) {
    auto& entry = worst_[what];
    entry.first = std::max(entry.first, error);
    ++entry.second;
  }

 private:
  std::string title_;
  std::map<std::string, std::pair<double, int>> worst_;
};

/// Every stored CAM and Grad-CAM map of `name`, explained in `model`.
void check_maps(const References& refs, const sg::Model& model, const std::string& title) {
  Report report(title);
  for (const Entry& stored : refs.cases("GradCAM")) {
    if (peer_departs_from_paper(stored)) continue;
    const auto layer = stored.text("layer");
    INFO("Grad-CAM at " << layer << ", " << stored.text("peer") << ", targets " << stored.tensor("targets"));
    const auto explained = sg::explain(model, refs.input(), layer, sg::GradCam{}, sg::Target(stored.tensor("targets")));
    const double error = relative_error(explained.map(), stored.tensor("map").relu());
    CHECK(error < tolerance);
    CHECK(explained.map().min().item<float>() >= 0);
    report.add("Grad-CAM, " + stored.text("peer"), error);
  }
  for (const Entry& stored : refs.cases("CAM")) {
    const auto layer = stored.text("layer");
    INFO("CAM at " << layer << ", " << stored.text("peer") << ", targets " << stored.tensor("targets"));
    const auto explained = sg::explain(model, refs.input(), layer, sg::Cam{}, sg::Target(stored.tensor("targets")));
    const double error = relative_error(explained.map(), stored.tensor("map"));
    CHECK(error < tolerance);
    report.add("CAM, " + stored.text("peer"), error);
  }
}

/// What methods are given: activations, gradients, scores and classes, at every stored layer; all layers in one pass.
void check_cuts(const References& refs, const sg::Model& model, const std::string& title) {
  Report report(title);
  std::vector<sg::Layer> layers;
  for (const Entry& stored : refs.layers()) layers.push_back(model.layer(stored.text("layer")));
  const sg::Pass pass(model, refs.input(), layers);
  CHECK(relative_error(pass.output(), refs.logits()) < 1e-5);
  const auto stored = refs.layers();
  for (size_t i = 0; i < stored.size(); ++i) {
    INFO("cut at " << stored[i].text("layer") << ", targets " << stored[i].tensor("targets"));
    const at::Tensor targets = stored[i].tensor("targets");
    const sg::Cut cut = pass.at(i, sg::Target(targets));
    const double activations = relative_error(cut.activations(), stored[i].tensor("activations"));
    const double gradients = relative_error(cut.gradients(), stored[i].tensor("gradients"));
    CHECK(activations < tolerance);
    CHECK(gradients < tolerance);
    CHECK(cut.classes().equal(targets));
    CHECK(relative_error(cut.scores().unsqueeze(1), refs.logits().gather(1, targets.unsqueeze(1))) < 1e-5);
    report.add("activations", activations);
    report.add("gradients", gradients);
  }
}

/// The prediction is the default target, and is what the references call top1.
void check_prediction(const References& refs, const sg::Model& model, const std::string& layer) {
  const auto by_default = sg::explain(model, refs.input(), layer, sg::GradCam{});
  CHECK(by_default.targets().equal(refs.top1()));
  CHECK(by_default.map().equal(sg::explain(model, refs.input(), layer, sg::GradCam{}, sg::Target(refs.top1())).map()));
}

/// pytorch-grad-cam's own end result: rectified, enlarged to the input's size, brought to [0, 1].
void check_final_maps(const References& refs, const sg::Model& model, const std::string& title) {
  Report report(title);
  for (const Entry& stored : refs.cases("GradCAM")) {
    if (!stored.has("final")) continue;
    const at::Tensor wanted = stored.tensor("final");
    const auto explained =
        sg::explain(model, refs.input(), stored.text("layer"), sg::GradCam{}, sg::Target(stored.tensor("targets")));
    const at::Tensor enlarged = explained.resized(wanted.size(1), wanted.size(2));
    const sg::Explanation scaled(enlarged, explained.scores(), explained.targets(), {wanted.size(1), wanted.size(2)});
    const double error = relative_error(scaled.normalised(), wanted);
    CHECK(error < tolerance);
    report.add("resized and normalised, " + stored.text("peer"), error);
    for (int64_t i = 0; i < wanted.size(0); ++i) {
      const auto [x, y] = explained.peak(i);
      CHECK(wanted[i][y][x].item<float>() > 1 - 1e-4f);
    }
  }
}

}  // namespace

TEST_CASE("CAM and Grad-CAM agree with the references through TorchScript files") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const std::map<std::string, size_t> least_cases{{"tinyresnet", 20}, {"tinyvgg", 16}, {"tinycam", 16}};
  for (const std::string name : {"tinyresnet", "tinyvgg", "tinycam"}) {
    INFO(name);
    const References refs(name);
    REQUIRE(refs.cases("GradCAM").size() >= least_cases.at(name));
    const torch::jit::Module script = refs.script();
    check_maps(refs, script, name + " (TorchScript)");
    check_cuts(refs, script, name + " (TorchScript)");
    check_final_maps(refs, script, name + " (TorchScript)");
    check_prediction(refs, script, refs.layers().front().text("layer"));
  }
}

TEST_CASE("CAM and Grad-CAM agree with the references through a torch::nn residual network") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const References refs("tinyresnet");
  support::TinyResNet net;
  refs.load_into(*net);
  net->eval();
  check_maps(refs, net, "tinyresnet (torch::nn)");
  check_cuts(refs, net, "tinyresnet (torch::nn)");
  check_final_maps(refs, net, "tinyresnet (torch::nn)");
  check_prediction(refs, net, "layer4");
}

TEST_CASE("CAM and Grad-CAM agree with the references through a torch::nn network of Sequentials") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const References refs("tinyvgg");
  support::TinyVgg net;
  refs.load_into(*net);
  net->eval();
  check_maps(refs, net, "tinyvgg (torch::nn)");
  check_cuts(refs, net, "tinyvgg (torch::nn)");
  check_final_maps(refs, net, "tinyvgg (torch::nn)");
  check_prediction(refs, net, "features.11");
}

TEST_CASE("handles and elements of Sequentials give the stored maps too") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const References refs("tinyresnet");
  support::TinyResNet net;
  refs.load_into(*net);
  net->eval();
  const auto stored_map = [&](const std::string& layer) {
    for (const Entry& stored : refs.cases("GradCAM")) {
      if (stored.text("layer") == layer && stored.text("peer") == "plain torch float64") {
        return stored.tensor("map").relu();
      }
    }
    return at::Tensor();
  };
  const sg::Target top1(refs.top1());
  const auto error = [&](const sg::Layer& layer, const std::string& name) {
    return relative_error(sg::explain(net, refs.input(), layer, sg::GradCam{}, top1).map(), stored_map(name));
  };
  CHECK(error(net->layer4, "layer4") < tolerance);
  CHECK(error(net->layer3, "layer3") < tolerance);
  CHECK(error(net->layer2[0], "layer2.0") < tolerance);
  CHECK(error(net->layer3->at<support::TwinBlockImpl>(0).bn1, "layer3.0.bn1") < tolerance);
}

TEST_CASE("the vision transformer's tokens agree with the references through a reshape") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const References refs("tinyvit");
  const torch::jit::Module script = refs.script();
  const sg::Reshape grid = sg::Reshape::tokens(8, 12);
  const sg::Reshaped<sg::GradCam> grad_cam{{}, grid};
  Report report("tinyvit (TorchScript, tokens reshaped)");
  for (const Entry& stored : refs.cases("GradCAM")) {
    INFO("Grad-CAM at " << stored.text("layer") << ", " << stored.text("peer"));
    const auto explained =
        sg::explain(script, refs.input(), stored.text("layer"), grad_cam, sg::Target(stored.tensor("targets")));
    const double error = relative_error(explained.map(), stored.tensor("map").relu());
    CHECK(error < tolerance);
    report.add("Grad-CAM, " + stored.text("peer"), error);
    if (!stored.has("final")) continue;
    const at::Tensor wanted = stored.tensor("final");
    const at::Tensor enlarged = explained.resized(wanted.size(1), wanted.size(2));
    const sg::Explanation scaled(enlarged, explained.scores(), explained.targets(), {wanted.size(1), wanted.size(2)});
    const double final_error = relative_error(scaled.normalised(), wanted);
    CHECK(final_error < tolerance);
    report.add("resized and normalised, " + stored.text("peer"), final_error);
  }
  for (const Entry& stored : refs.layers()) {
    INFO("cut at " << stored.text("layer"));
    const sg::Pass pass(script, refs.input(), {sg::layer(script, stored.text("layer"))});
    const sg::Cut cut = pass.at(0, sg::Target(stored.tensor("targets"))).reshaped(grid);
    const double activations = relative_error(cut.activations(), stored.tensor("activations"));
    const double gradients = relative_error(cut.gradients(), stored.tensor("gradients"));
    CHECK(activations < tolerance);
    CHECK(gradients < tolerance);
    report.add("activations", activations);
    report.add("gradients", gradients);
  }
}
