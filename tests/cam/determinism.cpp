#include "../../examples/support/methods.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"

namespace sg = sightglass;

// LeGrad needs attention: tests/cam/methods/legrad.cpp.

TEST_CASE("an image has one map, alone, in any slot of a batch of 16, and twice in a row, by every method") {
  torch::manual_seed(3);
  support::PooledNet net;
  const at::Tensor x = support::small_pictures(16);
  const sg::Layer layer(net->features);
  for (const support::Method& method : support::methods()) {
    if (method.name == "legrad") continue;
    INFO(method.name);
    const auto map = [&](const at::Tensor& images) {
      return method.explain(sg::Pass(net, images, {layer}), 0, sg::Target(1)).map();
    };
    const at::Tensor batch = map(x);
    const at::Tensor turned = map(x.flip({0}));
    CHECK(batch.abs().max().item<double>() > 0);
    CHECK(map(x).equal(batch));
    CHECK(support::near(turned.flip({0}), batch));
    for (const int64_t slot : {0, 7, 15}) CHECK(support::near(map(x.slice(0, slot, slot + 1))[0], batch[slot]));
  }
}
