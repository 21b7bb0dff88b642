#include "sightglass/trace/scopes.hpp"

#include <string>
#include <vector>

#include "../../examples/support/methods.hpp"
#include "support/harness/autocast.hpp"
#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/transformer.hpp"

namespace sg = sightglass;

TEST_CASE("our own sums are in full precision under autocast, and what follows is not") {
  const support::Autocast autocast(c10::DispatchKey::AutocastCPU);
  const at::Tensor a = torch::ones({2, 2});
  {
    const sg::detail::WithoutAutocast without_autocast;
    CHECK(torch::mm(a, a).scalar_type() == torch::kFloat);
  }
  CHECK(torch::mm(a, a).scalar_type() == torch::kBFloat16);
}

TEST_CASE("maps are in float32 under autocast, by every method, and near to those without") {
  torch::manual_seed(3);
  support::PooledNet net;
  support::SmallTransformer transformer;
  const at::Tensor x = support::small_pictures(2);
  for (const support::Method& method : support::methods()) {
    INFO(method.name);
    const auto map = [&] {
      if (method.name == "legrad") {
        return sg::explain(transformer, x.slice(2, 0, 4), transformer->patch, sg::LeGrad{}, sg::Target(1)).map();
      }
      return method.explain(sg::Pass(net, x, {net->features}), 0, sg::Target(1)).map();
    };
    const at::Tensor wanted = map();
    const support::Autocast autocast(c10::DispatchKey::AutocastCPU);
    const at::Tensor found = map();
    CHECK(found.scalar_type() == torch::kFloat);
    const double error = ((found - wanted).norm() / wanted.norm()).item<double>();
    CHECK(error < .2);
    if (method.name == "grad-cam") CHECK(error > 0);  // the model did run in 16 bits
  }
}
