#include <sightglass/hooks/detail/watch.hpp>
#include <sightglass/trace/script/split.hpp>
#include <sightglass/trace/script/traced.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/nets.hpp"
#include "support/harness/snapshot.hpp"

using namespace sightglass::detail;
using torch::Tensor;

namespace {

/// A convolution, and a head that chooses by the values it sees.
struct ChoosingImpl : torch::nn::Module {
  ChoosingImpl() { register_module("conv", conv); }
  Tensor forward(const Tensor& x) {
    const Tensor y = conv->forward(x);
    return y.mean().item<float>() > 0 ? y.relu() : y.tanh();
  }
  torch::nn::Conv2d conv{torch::nn::Conv2dOptions(3, 4, 3)};
};

template <class Net>
std::vector<Tensor> state_of(const Net& net) {
  std::vector<Tensor> all = net->parameters();
  for (const Tensor& buffer : net->buffers()) all.push_back(buffer);
  return all;
}

template <class Net>
Traced traced(const Net& net, const sightglass::Layer& layer, const Tensor& x) {
  const torch::NoGradGuard no_gradients;
  const Watch watch(std::make_shared<TraceMark>(layer.place().key), layer);
  return trace([&](const Tensor& input) { return net->forward(input); }, state_of(net), x);
}

}  // namespace

TEST_CASE("a traced model is split at a mark, and gives what the model gives") {
  torch::manual_seed(0);
  const auto net = std::make_shared<nets::ResNetImpl>();
  net->eval();
  const Tensor x = torch::randn({2, 3, 32, 32});
  const sightglass::Layer layer = sightglass::layer(net, "layer1");
  const Traced graph = traced(net, layer, x);
  const Split split(*graph.graph, graph.self._ivalue(), {layer.place().key}, 4);
  const torch::NoGradGuard no_gradients;
  CHECK(torch::allclose(split.tail(split.prefix(x), x), net->forward(x), 1e-4, 1e-5));
  CHECK_FALSE(split.stale());
  net->parameters().front().mul_(2);
  CHECK(split.stale());
}

TEST_CASE("tracing changes nothing of the model") {
  torch::manual_seed(0);
  const auto net = std::make_shared<nets::ResNetImpl>();
  net->eval();
  const Tensor x = torch::randn({1, 3, 32, 32});
  const support::Snapshot before(*net);
  traced(net, sightglass::layer(net, "layer1"), x);
  CHECK(before.difference(support::Snapshot(*net)) == "");
}

TEST_CASE("a forward that chooses by values is not traced") {
  const auto net = std::make_shared<ChoosingImpl>();
  CHECK_THROWS_WITH(traced(net, sightglass::Layer(net->conv), torch::randn({1, 3, 8, 8})),
                    ContainsSubstring("reads values"));
  // Nothing of the tracer is left behind.
  CHECK_FALSE(torch::jit::tracer::isTracing());
}
