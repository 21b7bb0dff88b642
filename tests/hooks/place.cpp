#include "sightglass/hooks/detail/find_place.hpp"

#include "sightglass/hooks/hook_point.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"

namespace sg = sightglass;
namespace sgd = sightglass::detail;

TEST_CASE("handles, shared pointers and modules are models, other things are not", "[place]") {
  CHECK(sgd::is_module_like<nets::ConvNet>);
  CHECK(sgd::is_module_like<std::shared_ptr<nets::ConvNetImpl>>);
  CHECK(sgd::is_module_like<nets::ConvNetImpl>);
  CHECK_FALSE(sgd::is_module_like<torch::Tensor>);
  CHECK_FALSE(sgd::is_module_like<std::shared_ptr<int>>);
}

TEST_CASE("a path goes through every module, with its number among its siblings", "[place]") {
  nets::ResNet net;
  const auto steps = sgd::path_to(net.ptr(), "layer1.1.bn2");
  REQUIRE(steps.size() == 4);
  CHECK(steps[0].path.empty());
  CHECK(steps[1].path == "layer1");
  CHECK(steps[1].index == 2);
  CHECK(steps[2].path == "layer1.1");
  CHECK(steps[2].index == 1);
  CHECK(steps[3].path == "layer1.1.bn2");
  CHECK(steps[3].module == net->named_modules()["layer1.1.bn2"]);
  CHECK(sgd::path_to(net.ptr(), "").size() == 1);
}

TEST_CASE("a layer with parameters is followed by itself, one without in the Sequential around it", "[place]") {
  torch::nn::Sequential net = nets::plain_sequential();
  const auto conv = sgd::place_by_name(net.ptr(), "0");
  const auto relu = sgd::place_by_name(net.ptr(), "1");
  REQUIRE(conv.owner != nullptr);
  REQUIRE(relu.owner != nullptr);
  CHECK(conv.owner->id().address == conv.key);
  CHECK(relu.owner->id().address == static_cast<torch::nn::Module*>(net.get()));
  CHECK(relu.key == net[1].get());
}

TEST_CASE("an own block inside a Sequential is called through it", "[place]") {
  struct LocalBlockImpl : nets::BottleneckImpl {
    LocalBlockImpl() : nets::BottleneckImpl(4, 2) {}
  };
  torch::nn::Sequential net(std::make_shared<LocalBlockImpl>());
  const auto place = sgd::place_by_name(net.ptr(), "0");
  CHECK(place.problem.empty());
  REQUIRE(place.owner != nullptr);
  const torch::Tensor x = torch::randn({1, 4, 3, 3});
  CHECK(torch::equal(place.owner->run({x}).at(0), net->forward(x)));
}

TEST_CASE("a module that marks itself needs nobody to follow it", "[place]") {
  sightglass::HookPoint here;
  const auto place = sg::Layer(here).place();
  CHECK(place.owner == nullptr);
  CHECK(place.problem.empty());
  CHECK(place.key == here.get());
}

TEST_CASE("lists and parameterless layers say what to do instead", "[place]") {
  nets::Transformer net;
  CHECK_THAT(sgd::place_by_name(net.ptr(), "Layers").problem, ContainsSubstring("name one of its elements"));
  CHECK_THAT(sgd::place_by_name(net.ptr(), "Layers.0").problem, ContainsSubstring("name one of its elements"));
  // Without the model around it nothing tells where a ReLU runs.
  torch::nn::ReLU alone;
  CHECK_THAT(sg::Layer(alone).place().problem, ContainsSubstring("sightglass::Hooked") &&
                                                   ContainsSubstring("sightglass::HookPoint") &&
                                                   ContainsSubstring("sightglass::layer(model, name)"));
}

TEST_CASE("the nearest Sequential with parameters is taken, but never one behind a forward of its own", "[place]") {
  // residual.1 lies in a class derived from Sequential; its children run through SequentialImpl::forward there.
  nets::ResidualNet net;
  const auto relu = sgd::place_by_name(net.ptr(), "residual.1");
  REQUIRE(relu.owner != nullptr);
  CHECK(relu.owner->id().kind == sgd::RunnableId::Kind::children);  // not the module's own forward
}
