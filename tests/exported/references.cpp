// Exported programs of both layouts against the stored references of ../shared/refs.

#include <sightglass/exported.hpp>
#include <sightglass/sightglass.hpp>

#include <functional>
#include <string>

#include "support/data/refs.hpp"
#include "support/harness/catch.hpp"

namespace sg = sightglass;
using support::Entry;
using support::References;
using support::relative_error;

namespace {

/// Point 7 of the references' README: these peers take the tensor after the in-place activation that follows.
bool sees_another_tensor(const Entry& stored) {
  const bool written_in_place = stored.text("layer") == "layer3.0.bn1" || stored.text("layer") == "grouped_bn";
  return written_in_place && (stored.text("peer") == "grad-cam 1.5.7" || stored.text("peer") == "torchcam 0.5.0");
}

template <class Method>
double worst_of(const References& refs, const std::string& name, const sg::Model& model, const Method& method,
                const std::string& network, const std::function<at::Tensor(const at::Tensor&)>& wanted) {
  double worst = 0;
  size_t compared = 0;
  for (const Entry& stored : refs.cases(name)) {
    if (sees_another_tensor(stored)) continue;
    INFO(network << ": " << name << " at " << stored.text("layer") << ", " << stored.text("peer"));
    const sg::Target target(stored.tensor("targets"));
    const auto explained = network.rfind("tinyvit", 0) == 0
                               ? sg::explain(model, refs.input(), stored.text("layer"),
                                             sg::Reshaped<Method>{method, sg::Reshape::tokens(8, 12)}, target)
                               : sg::explain(model, refs.input(), stored.text("layer"), method, target);
    const double error = relative_error(explained.map(), wanted(stored.tensor("map")));
    CHECK(error < 1e-4);
    worst = std::max(worst, error);
    ++compared;
  }
  if (name != "CAM") CHECK(compared > 5);
  return worst;
}

}  // namespace

TEST_CASE("exported programs of both layouts give the stored logits, activations, gradients and maps") {
  if (!References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  const auto as_it_is = [](const at::Tensor& map) { return map; };
  const auto rectified = [](const at::Tensor& map) { return map.relu(); };
  for (const std::string network : {"tinyresnet", "tinyvgg", "tinycam", "tinyvit"}) {
    for (const std::string layout : {".pt2", ".torch2.6.pt2"}) {
      const References refs(network);
      const auto program = sg::ExportedProgram::load(support::shared_dir() + "/refs/" + network + layout);
      const std::string title = network + layout;
      INFO(title);
      CHECK(relative_error(sg::ExportedProgram(program).forward({refs.input()}).toTensor(), refs.logits()) < 1e-5);
      for (const Entry& stored : refs.layers()) {
        INFO("cut at " << stored.text("layer"));
        const sg::Pass pass(program, refs.input(), {sg::layer(program, stored.text("layer"))});
        sg::Cut cut = pass.at(0, sg::Target(stored.tensor("targets")));
        if (network == "tinyvit") cut = cut.reshaped(sg::Reshape::tokens(8, 12));
        CHECK(relative_error(cut.activations(), stored.tensor("activations")) < 1e-4);
        CHECK(relative_error(cut.gradients(), stored.tensor("gradients")) < 1e-4);
      }
      for (const sg::Model& model : {sg::Model(program), sg::Model(program).optimised()}) {
        const double cam = worst_of(refs, "CAM", model, sg::Cam{}, title, as_it_is);
        const double grad_cam = worst_of(refs, "GradCAM", model, sg::GradCam{}, title, rectified);
        const double layer_cam = worst_of(refs, "LayerCAM", model, sg::LayerCam{}, title, rectified);
        std::cout << "measured: " << title << ": worst relative error CAM " << cam << ", Grad-CAM " << grad_cam
                  << ", LayerCAM " << layer_cam << std::endl;
      }
    }
  }
}
