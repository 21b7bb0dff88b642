#include "sightglass/hooks/many.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/nets/scripts.hpp"
#include "support/harness/snapshot.hpp"

namespace sg = sightglass;
using support::identical;
using torch::Tensor;

TEST_CASE("many captures are read by number and by name", "[many]") {
  torch::manual_seed(1);
  nets::BottleneckNet net;
  sg::Captures all(net, sg::named("*.expand"));
  REQUIRE(all.size() == 3);
  CHECK(all.names() == std::vector<std::string>{"bottleneck_0.expand", "bottleneck_1.expand", "bottleneck_2.expand"});
  const Tensor y = net->forward(torch::randn({1, 4, 5, 5}));
  CHECK(identical(all[2].output(), all["bottleneck_2.expand"].output()));
  size_t shapes = 0;
  for (const sg::Capture& capture : all) shapes += capture.output().sizes() == y.sizes() ? 1 : 0;
  CHECK(shapes == 3);
}

TEST_CASE("arguments after the layers go to every guard", "[many]") {
  torch::manual_seed(2);
  nets::Twice net;
  sg::Captures all(net, sg::leaves(), sg::CaptureOptions().keep(sg::Keep::all));
  net->forward(torch::randn({1, 4, 5, 5}));
  CHECK(all["conv"].calls().size() == 2);
}

TEST_CASE("one function hooks many layers", "[many]") {
  torch::manual_seed(3);
  nets::ResNet net;
  std::vector<std::string> forward, backward;
  sg::ForwardHooks hooks(
      net, sg::of_type<torch::nn::Conv2dImpl>(),
      [&](const sg::Layer& layer, const Tensor&, const Tensor&) { forward.push_back(layer.name()); });
  sg::BackwardHooks back(
      net, sg::of_type<torch::nn::Conv2dImpl>(),
      [&](const sg::Layer& layer, const Tensor&, const Tensor&) { backward.push_back(layer.name()); });
  net->forward(torch::randn({2, 3, 8, 8})).sum().backward();
  CHECK(forward == std::vector<std::string>{"conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1",
                                            "layer1.1.conv2", "layer2.0.conv1", "layer2.0.conv2",
                                            "layer2.0.shortcut.0"});
  CHECK(backward.size() == forward.size());
  CHECK(backward.back() == "conv1");
}

TEST_CASE("many guards leave together", "[many]") {
  nets::ConvNet net;
  int calls = 0;
  sg::ForwardHooks hooks(net, sg::leaves(), [&](const sg::Layer&, const Tensor&, const Tensor&) { ++calls; });
  net->forward(torch::randn({1, 3, 12, 12}));
  CHECK(calls == 3);
  hooks.remove();
  hooks.remove();
  net->forward(torch::randn({1, 3, 12, 12}));
  CHECK(calls == 3);
  CHECK(sg::detail::thread_state().listener == nullptr);
}

TEST_CASE("layers given one by one, and those of a TorchScript model, are watched together", "[many]") {
  torch::manual_seed(4);
  nets::ConvNet net;
  sg::Captures chosen(std::vector<sg::Layer>{sg::layer(net, "fc"), net->conv1});
  net->forward(torch::randn({1, 3, 12, 12}));
  CHECK(chosen["fc"].output().size(1) == 5);
  CHECK(chosen[1].output().size(1) == 4);

  torch::jit::Module script = scripts::net();
  sg::Captures all(script, sg::leaves());
  for (int call = 0; call < 3; ++call) {
    const Tensor y = scripts::run(script, torch::randn({1, 3, 6, 6}));
    CHECK(identical(all["fc"].output(), y));
    CHECK(identical(all["bn1"].input(), all["conv1"].output()));
  }
}

TEST_CASE("a name that is not watched lists the nearest ones", "[many]") {
  nets::ConvNet net;
  sg::Captures all(net, sg::leaves());
  CHECK_THROWS_WITH(all["conv3"], ContainsSubstring("\"conv3\"") && ContainsSubstring("nearest: \"conv1\", \"conv2\""));
}
