#include <sightglass/cam/pass.hpp>
#include <sightglass/model/detail/tails.hpp>

#include <memory>
#include <vector>

#include "support/catch.hpp"
#include "support/tiny.hpp"

namespace sg = sightglass;

// Elided runs are compared with full ones in tests/trace/elision.cpp.

TEST_CASE("a tail without a tape of its layer is run in full") {
  support::PaperNet net;
  const sg::Model model(net);
  const at::Tensor x = support::PaperNetImpl::picture();
  const std::vector<sg::Layer> layers{sg::Layer(net->features)};
  const auto tracker = sg::detail::Tracker::of_thread();
  const auto point = std::make_shared<sg::detail::CutPoint>(layers[0], 0, tracker);
  at::Tensor output;
  {
    const torch::NoGradGuard no_gradients;
    const auto watch = model.watch(point, layers[0]);
    output = model.forward(x).detach();
  }
  sg::detail::Tails tails(model, x, layers, {point}, output, std::make_unique<sg::detail::Tape>(x, 1));
  CHECK_FALSE(tails.elides(0));
  const torch::NoGradGuard no_gradients;
  const at::Tensor rows = torch::zeros({3}, torch::kLong);
  CHECK(tails.run(0, torch::ones({3, 2, 2, 2}), rows).select(1, 0).equal(torch::full({3}, 3.f)));
}
