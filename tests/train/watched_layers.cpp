#include "sightglass/train/watched_layers.hpp"

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/warnings.hpp"

namespace sg = sightglass;
using Names = std::vector<std::string>;

namespace {

template <class Model>
Names names(const Model& model, const sg::WatchedLayers& layers) {
  Names all;
  for (const sg::Layer& layer : layers.of(sg::detail::root_of(model))) all.push_back(layer.name());
  return all;
}

}  // namespace

TEST_CASE("by default a model's leaves with parameters are watched, on request the others too", "[watched_layers]") {
  const torch::nn::Sequential net = nets::plain_sequential();
  CHECK(names(net, {}) == Names{"0", "4", "8"});
  CHECK(names(net, sg::Paramless::include).size() == 9);
}

TEST_CASE("layers are chosen by name, by handle, by filter", "[watched_layers]") {
  const nets::ConvNet net;
  CHECK(names(net, {"fc", "conv1"}) == Names{"fc", "conv1"});
  CHECK(names(net, std::vector<sg::Layer>{net->conv2, net->conv1}) == Names{"conv2", "conv1"});
  CHECK(names(net, sg::named("conv*")) == Names{"conv1", "conv2"});
  CHECK_THROWS_WITH(names(net, {"conv3"}), ContainsSubstring("\"conv3\"") && ContainsSubstring("\"conv1\""));
  CHECK_THROWS_WITH(names(net, sg::named("nothing")), ContainsSubstring("none of") && ContainsSubstring("ConvNet"));
}

TEST_CASE("layers that cannot be watched from outside are left out with a warning", "[watched_layers]") {
  const nets::Shared net;
  const support::Warnings warnings;
  const Names watched = names(net, {});
  CHECK(std::find(watched.begin(), watched.end(), "tied") == watched.end());
  CHECK_THAT(warnings.text(), ContainsSubstring("not watched") && ContainsSubstring("\"tied\""));
}
