#include "sightglass/hooks/find_layers.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/nets/scripts.hpp"

namespace sg = sightglass;

namespace {

std::vector<std::string> names(const std::vector<sg::Layer>& layers) {
  std::vector<std::string> all;
  for (const sg::Layer& layer : layers) all.push_back(layer.name());
  return all;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("leaves are found by default, in the order of registration", "[find_layers]") {
  nets::BottleneckNet net;
  CHECK(names(sg::find_layers(net)) == Names{"bottleneck_0.reduce", "bottleneck_0.expand", "bottleneck_1.reduce",
                                             "bottleneck_1.expand", "bottleneck_2.reduce", "bottleneck_2.expand"});
}

TEST_CASE("layers are found by type, base classes included", "[find_layers]") {
  nets::ResNet net;
  CHECK(names(sg::find_layers(net, sg::of_type<torch::nn::LinearImpl>())) == Names{"fc"});
  CHECK(names(sg::find_layers(net, sg::of_type<nets::BasicBlockImpl>())) == Names{"layer1.0", "layer1.1", "layer2.0"});
  nets::ResidualNet derived;
  CHECK(names(sg::find_layers(derived, sg::of_type<torch::nn::SequentialImpl>())) == Names{"residual"});
}

TEST_CASE("layers are found by a pattern of their names", "[find_layers]") {
  nets::ResNet net;
  CHECK(names(sg::find_layers(net, sg::named("layer*.bn2"))) == Names{"layer1.0.bn2", "layer1.1.bn2", "layer2.0.bn2"});
  CHECK(names(sg::find_layers(net, sg::named("conv1"))) == Names{"conv1"});  // the whole name
  CHECK(names(sg::find_layers(net, sg::named("*shortcut"))) == Names{"layer2.0.shortcut"});
  CHECK(sg::find_layers(net, sg::named("")).empty());
  CHECK(sg::find_layers(net, sg::named("*")).size() == net->named_modules("", false).size());
  CHECK(names(sg::find_layers(net, sg::named("*1*0*conv1"))) == Names{"layer1.0.conv1"});
  nets::Transformer spaced;
  CHECK(names(sg::find_layers(spaced, sg::named("Layer *"))) == Names{"Layer Normalization"});
}

TEST_CASE("a lambda is as good as a filter", "[find_layers]") {
  nets::ConvNet net;
  const auto found = sg::find_layers(net, [](const sg::Layer& layer) { return layer.name().size() == 2; });
  CHECK(names(found) == Names{"fc"});
}

TEST_CASE("layers of a TorchScript model are found by the same filters", "[find_layers]") {
  const torch::jit::Module net = scripts::net();
  CHECK(names(sg::find_layers(net)) == Names{"conv1", "bn1", "relu", "blocks.0", "blocks.1", "pool", "fc"});
  CHECK(names(sg::find_layers(net, sg::named("blocks.*"))) == Names{"blocks.0", "blocks.1"});
  CHECK(names(sg::find_layers(net, [](const sg::Layer& layer) { return layer.type() == "ReLU"; })) == Names{"relu"});
}
