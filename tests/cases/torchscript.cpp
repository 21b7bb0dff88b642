// TorchScript files that once went wrong (../shared/cases): their maps and values are those of plain PyTorch hooks.
#include <sightglass/sightglass.hpp>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "../../examples/support/npy.hpp"
#include "support/data/refs.hpp"

namespace sg = sightglass;
using torch::Tensor;

namespace {

std::string cases() { return support::shared_dir() + "/cases/"; }
bool are_there() { return support::file_exists(cases() + "cases.json"); }
torch::jit::Module model(const std::string& name) {
  torch::jit::Module loaded = torch::jit::load(cases() + name);
  loaded.eval();
  return loaded;
}
Tensor array(const std::string& name) { return support::read_npy(cases() + name); }
double error(const sg::Explanation& map, const std::string& wanted) {
  return support::relative_error(map.map(), array(wanted));
}

}  // namespace

#define NEEDS_CASES() \
  if (!are_there()) SKIPPED("no ../shared/cases")

TEST_CASE("layers of a trace that only pass their input through give no tensor, and nothing crashes", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  for (const char* name : {"identity_traced.pt", "identity_scripted.pt"}) {
    const torch::jit::Module net = model(name);
    CHECK(error(sg::explain(net, x, "act", sg::GradCam{}, 2), "identity_grad_cam.npy") < 1e-4);
    CHECK_FALSE(sg::layers(net, x).empty());
    CHECK_FALSE(sg::suggest_layer(net, x).empty());
    CHECK_FALSE(sg::summary(net, x).layers.empty());
  }
}

TEST_CASE("a layer that gives no tensor is named as such where it is asked for", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  torch::jit::Module net = model("identity_traced.pt");
  const std::vector<sg::LayerInfo> listed = sg::layers(net, x);
  int without = 0;
  for (const auto& item : net.named_modules()) {
    if (item.name.empty()) continue;
    const bool is_listed =
        std::any_of(listed.begin(), listed.end(), [&](const sg::LayerInfo& info) { return info.name == item.name; });
    if (is_listed) continue;
    ++without;
    INFO(item.name);
    CHECK_THROWS_WITH(sg::explain(net, x, item.name, sg::GradCam{}), ContainsSubstring("gives no tensor"));
    sg::Capture capture(net, item.name);
    int calls = 0;
    sg::ForwardHook hook(net, item.name, [&](const sg::Layer&, const Tensor&, const Tensor& output) {
      ++calls;
      CHECK_FALSE(output.defined());
    });
    net.forward({x});
    CHECK(calls == 1);
    CHECK_THROWS_WITH(capture.output(), ContainsSubstring("no output that is a tensor"));
    CHECK(capture.outputs().empty());
  }
  CHECK(without > 0);
}

TEST_CASE("a layer that gives a dictionary has its tensors by key", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  torch::jit::Module net = model("dict_layer.pt");
  CHECK(error(sg::explain(net, x, "back", sg::GradCam{}, 1), "dict_layer_grad_cam.npy") < 1e-4);
  sg::Capture capture(net, "back");
  net.forward({x});
  REQUIRE_FALSE(capture.keys().empty());
  const std::string key = capture.keys().front();
  CHECK(capture.output(key).equal(capture.output()));
  CHECK(capture.output(0).equal(capture.output()));
  CHECK_THROWS_WITH(capture.output("nothing"), ContainsSubstring(key));
  CHECK(error(sg::explain(net, x, sg::layer(net, "back").output(key), sg::GradCam{}, 1), "dict_layer_grad_cam.npy") <
        1e-4);
}

TEST_CASE("every call of a module is a call of its layer, whatever a trace calls it, and the last one counts",
          "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  for (const char* name : {"twice_traced.pt", "twice_scripted.pt"}) {
    INFO(name);
    torch::jit::Module net = model(name);
    CHECK(error(sg::explain(net, x, "relu", sg::GradCam{}, 1), "twice_last.npy") < 1e-4);
    const sg::Layer relu = sg::layer(net, "relu");
    CHECK(error(sg::explain(net, x, relu.call(0), sg::GradCam{}, 1), "twice_first.npy") < 1e-4);
    CHECK(error(sg::explain(net, x, relu.call(1), sg::GradCam{}, 1), "twice_last.npy") < 1e-4);
    sg::Capture capture(net, "relu", sg::CaptureOptions().keep(sg::Keep::all));
    int calls = 0;
    sg::ForwardHook hook(net, "relu", [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
    for (int run = 1; run <= 3; ++run) {
      net.forward({x});
      CHECK(calls == 2 * run);
      REQUIRE(capture.calls().size() == static_cast<size_t>(2 * run));
    }
    // Grad-CAM at the first call, by hand, from what the capture kept.
    sg::Capture gradients(net, "relu", sg::CaptureOptions().keep(sg::Keep::all));
    net.forward({x}).toTensor().select(1, 1).sum().backward();
    const auto first = gradients.calls().front();
    const Tensor map = (first.gradients[0].mean({2, 3}, true) * first.outputs[0]).sum(1).relu();
    CHECK(support::relative_error(map, array("twice_first.npy")) < 1e-4);
  }
}

TEST_CASE("LSTM layers of traced and scripted files run under the capture", "[cases]") {
  NEEDS_CASES();
  for (const char* name : {"lstm_traced.pt", "lstm_scripted.pt"}) {
    INFO(name);
    torch::jit::Module net = model(name);
    torch::jit::Module lstm = net.attr("lstm").toModule();
    const Tensor x = torch::ones({1, 5, 6});
    sg::Capture capture(net, "lstm");
    net.forward({x});
    std::vector<Tensor> weights;
    for (const char* weight : {"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"})
      weights.push_back(lstm.attr(weight).toTensor());
    const Tensor zero = torch::zeros({1, 1, weights[1].size(1)});
    const Tensor wanted = std::get<0>(torch::lstm(x, {zero, zero}, weights, true, 1, 0.0, false, false, true));
    CHECK(capture.output().allclose(wanted, 1e-5, 1e-6));
  }
}

TEST_CASE("a model with several inputs is captured in the user's own forward, and explained through a function",
          "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy"), table = array("table.npy");
  for (const char* name : {"two_inputs.pt", "two_inputs_traced.pt"}) {
    INFO(name);
    torch::jit::Module net = model(name);
    sg::Capture capture(net, "conv");
    net.forward({x, table}).toTensor().select(1, 1).sum().backward();
    const Tensor map = (capture.gradient().mean({2, 3}, true) * capture.output()).sum(1).relu();
    CHECK(support::relative_error(map, array("two_inputs_grad_cam.npy")) < 1e-4);
    CHECK(capture.input().equal(x));

    const sg::Model both(net, [&](const Tensor& picture) { return net.forward({picture, table}); });
    CHECK(error(sg::explain(both, x, "conv", sg::GradCam{}, 1), "two_inputs_grad_cam.npy") < 1e-4);
    CHECK_THROWS_WITH(sg::explain(net, x, "conv", sg::GradCam{}, 1),
                      ContainsSubstring("takes 2 inputs") && ContainsSubstring("script.forward({x, ...})"));
  }
}

TEST_CASE("an output is chosen by key or number, the first floating-point one by default", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  const sg::Model dict(model("dict_output.pt"));
  CHECK(error(sg::explain(dict.output("out"), x, "features", sg::GradCam{}, 3), "dict_output_grad_cam.npy") < 1e-4);
  CHECK_THROWS_WITH(dict.output("nothing").forward(x), ContainsSubstring("\"out\""));
  const sg::Model tuple(model("tuple_output.pt"));
  CHECK(error(sg::explain(tuple.output(1), x, "features", sg::GradCam{}, 1), "tuple_output_grad_cam.npy") < 1e-4);
  CHECK(tuple.forward(x).equal(tuple.output(0).forward(x)));
  for (int run = 0; run < 3; ++run) {
    const sg::Model quick = tuple.optimised().output("1");
    CHECK(error(sg::explain(quick, x, "features", sg::GradCam{}, 1), "tuple_output_grad_cam.npy") < 1e-4);
    CHECK(error(sg::explain(quick, x, "features", sg::GradCam{}, 1), "tuple_output_grad_cam.npy") < 1e-4);
  }
}

TEST_CASE("a model of lists is explained through a function, and captured in its own forward", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("picture.npy");
  torch::jit::Module net = model("list_in_list_out.pt");
  const auto run = [&](const Tensor& picture) {
    return net.forward({c10::List<Tensor>(std::vector<Tensor>{picture[0]})});
  };
  const Tensor first = sg::Model(net, run).forward(x);
  const auto rows = [&](const Tensor& picture) {
    const Tensor output = run(picture).toListRef()[0].toTensor();
    return output.dim() == 1 ? output.unsqueeze(0) : output;
  };
  INFO(first.sizes());
  CHECK(error(sg::explain(sg::Model(net, rows), x, "features", sg::GradCam{}, 3), "list_in_list_out_grad_cam.npy") <
        1e-4);
  sg::Capture capture(net, "features");
  rows(x).select(1, 3).sum().backward();
  const Tensor map = (capture.gradient().mean({2, 3}, true) * capture.output()).sum(1).relu();
  CHECK(support::relative_error(map, array("list_in_list_out_grad_cam.npy")) < 1e-4);
}

TEST_CASE("series and volumes give maps of one and three dimensions", "[cases]") {
  NEEDS_CASES();
  CHECK(error(sg::explain(model("series.pt"), array("series.npy"), "features", sg::GradCam{}, 3),
              "series_grad_cam.npy") < 1e-4);
  CHECK(error(sg::explain(model("volume.pt"), array("volume.npy"), "features", sg::GradCam{}, 1),
              "volume_grad_cam.npy") < 1e-4);
}

TEST_CASE("activations with the channels last are seen as maps", "[cases]") {
  NEEDS_CASES();
  const Tensor x = array("wide.npy");
  const torch::jit::Module net = model("channels_last.pt");
  CHECK(error(sg::explain(net, x, "norm", sg::GradCam{}, 2), "channels_last_grad_cam.npy") < 1e-4);
  const sg::Reshaped<sg::GradCam> told{{}, sg::Reshape::channels_last()};
  CHECK(error(sg::explain(net, x, "norm", told, 2), "channels_last_grad_cam.npy") < 1e-4);
}

TEST_CASE("attention without a derivative is refused with the two ways to export it", "[cases]") {
  NEEDS_CASES();
  CHECK_THROWS_WITH(sg::explain(model("fast_attention.pt"), array("picture.npy"), "conv", sg::GradCam{}, 1),
                    ContainsSubstring("gradients on") && ContainsSubstring("torch.backends.mha.set_fastpath_enabled"));
}
