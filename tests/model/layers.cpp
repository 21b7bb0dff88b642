#include <sightglass/cam/explain.hpp>
#include <sightglass/model/layers.hpp>
#include <sightglass/cam/methods/grad_cam.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/data/refs.hpp"
#include "support/nets/scripts.hpp"
#include "support/harness/snapshot.hpp"
#include "support/nets/tiny.hpp"
#include "support/nets/twins.hpp"

namespace sg = sightglass;
using support::PaperNet;
using support::PaperNetImpl;

namespace {

std::vector<std::string> names_of(const std::vector<sg::LayerInfo>& layers) {
  std::vector<std::string> names;
  for (const auto& info : layers) names.push_back(info.name);
  return names;
}

sg::LayerInfo find(const std::vector<sg::LayerInfo>& layers, const std::string& name) {
  for (const auto& info : layers) {
    if (info.name == name) return info;
  }
  return {};
}

using Shape = std::vector<int64_t>;

}  // namespace

TEST_CASE("layers are listed in the order in which they end, with shapes and types") {
  PaperNet net;
  const auto all = sg::layers(net, PaperNetImpl::picture());
  CHECK(names_of(all) == std::vector<std::string>{"features.0", "features.1", "features", "fc"});
  CHECK(find(all, "features.0").shape == Shape{1, 2, 2, 2});
  CHECK(find(all, "fc").shape == Shape{1, 2});
  CHECK(find(all, "features.0").type == "torch::nn::Conv2dImpl");
  CHECK(find(all, "features").type == "torch::nn::SequentialImpl");
  CHECK(find(all, "features.0").parameters == 4);
  CHECK(find(all, "features.0").multiply_adds == 8);
  CHECK(find(all, "features.0").is_leaf);
  CHECK(find(all, "fc").calls == 1);
}

TEST_CASE("the layers of a residual network, in torch::nn and as a TorchScript file") {
  support::TinyResNet net;
  net->eval();
  const at::Tensor x = torch::randn({2, 3, 96, 64});
  const auto all = sg::layers(net, x);
  CHECK(find(all, "layer4").shape == Shape{2, 64, 3, 2});
  CHECK(find(all, "layer3.0.downsample.1").shape == Shape{2, 32, 6, 4});
  CHECK(find(all, "avgpool").shape == Shape{2, 64, 1, 1});
  CHECK(find(all, "fc").shape == Shape{2, 10});
  CHECK(sg::suggest_layer(net, x) == "layer4");
  CHECK(sg::suggest(net, x).reason == "the last map");
  if (!support::References::are_there())
    SKIPPED("no TorchScript file: no references in " + support::shared_dir() + "/refs");
  const auto script = support::References("tinyresnet").script();
  const auto of_script = sg::layers(script, x);
  CHECK(of_script.size() >= all.size());
  for (const auto& info : all) {
    INFO(info.name);
    CHECK(find(of_script, info.name).shape == info.shape);
  }
  CHECK(sg::suggest_layer(script, x) == "layer4");
}

TEST_CASE("the suggested layers of the reference networks are those that the references explain") {
  if (!support::References::are_there()) SKIPPED("no references in " + support::shared_dir() + "/refs");
  for (const std::string name : {"tinyresnet", "tinycam"}) {
    const support::References refs(name);
    CHECK(sg::suggest_layer(refs.script(), refs.input()) == refs.layers().front().text("layer"));
  }
  const support::References refs("tinyvgg");  // its container ends with features.11
  CHECK(sg::suggest_layer(refs.script(), refs.input()) == "features");
}

TEST_CASE("every listed spatial layer can be explained") {
  support::TinyResNet net;
  net->eval();
  const at::Tensor x = torch::randn({1, 3, 96, 64});
  int explained = 0;
  for (const auto& info : sg::layers(net, x)) {
    if (!info.is_spatial()) continue;
    INFO(info.name);
    const auto map = sg::explain(net, x, info.name, sg::GradCam{}).map();
    CHECK(map.sizes() == at::IntArrayRef({info.shape[0], info.shape[2], info.shape[3]}));
    ++explained;
  }
  CHECK(explained > 40);
}

TEST_CASE("a layer that runs several times is listed once, where it ends last, with its last shape") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 2)))),
          norm(register_module("norm", torch::nn::BatchNorm2d(1))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(norm->forward(conv->forward(x))).flatten(1); }
    torch::nn::Conv2d conv;
    torch::nn::BatchNorm2d norm;
  };
  const auto all = sg::layers(std::make_shared<NetImpl>(), torch::randn({1, 1, 6, 5}));
  CHECK(names_of(all) == std::vector<std::string>{"norm", "conv"});
  CHECK(find(all, "conv").shape == Shape{1, 1, 4, 3});
}

TEST_CASE("layers that do not run are not listed") {
  struct NetImpl : torch::nn::Module {
    NetImpl()
        : conv(register_module("conv", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))),
          spare(register_module("spare", torch::nn::Conv2d(torch::nn::Conv2dOptions(1, 1, 1)))) {
      eval();
    }
    torch::Tensor forward(const torch::Tensor& x) { return conv->forward(x).flatten(1); }
    torch::nn::Conv2d conv, spare;
  };
  CHECK(names_of(sg::layers(std::make_shared<NetImpl>(), PaperNetImpl::picture())) == std::vector<std::string>{"conv"});
}

TEST_CASE("a model without a spatial layer gets an error, not a suggestion") {
  torch::nn::Sequential net(torch::nn::Flatten(), torch::nn::Linear(4, 3), torch::nn::ReLU());
  net->eval();
  CHECK_THROWS_WITH(sg::suggest_layer(net, PaperNetImpl::picture()),
                    ContainsSubstring("model: none of its layers gives a spatial output [N, C, *S]"));
}

TEST_CASE("listing layers changes nothing, and is refused in training mode") {
  support::TinyResNet net;
  net->eval();
  const support::Snapshot before(*net);
  sg::layers(net, torch::randn({1, 3, 96, 64}));
  sg::suggest_layer(net, torch::zeros({1, 3, 96, 64}));
  at::manual_seed(0);  // the picture above was drawn from the generator
  const support::Snapshot again(*net);
  sg::layers(net, torch::zeros({1, 3, 96, 64}));
  CHECK(again.difference(support::Snapshot(*net)) == "");
  net->train();
  CHECK_THROWS_WITH(sg::layers(net, torch::zeros({1, 3, 96, 64})), ContainsSubstring("training mode"));
}
