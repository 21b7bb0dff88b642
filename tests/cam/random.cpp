#include <sightglass/cam/detail/random.hpp>

#include <torch/torch.h>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("a method's random numbers are the same for the same seed, others for another") {
  CHECK(sg::detail::uniform({3, 4}, 7).equal(sg::detail::uniform({3, 4}, 7)));
  CHECK_FALSE(sg::detail::uniform({3, 4}, 7).equal(sg::detail::uniform({3, 4}, 8)));
  CHECK(sg::detail::normal({3, 4}, 7).equal(sg::detail::normal({3, 4}, 7)));
  CHECK_FALSE(sg::detail::normal({3, 4}, 7).equal(sg::detail::normal({3, 4}, 8)));
}

TEST_CASE("a method's random numbers are uniform in [0, 1) and normal") {
  const at::Tensor uniform = sg::detail::uniform({10000}, 1);
  CHECK(uniform.min().item<double>() >= 0);
  CHECK(uniform.max().item<double>() < 1);
  CHECK(uniform.mean().item<double>() == Approx(.5).margin(.015));  // five deviations
  const at::Tensor normal = sg::detail::normal({10000}, 1);
  CHECK(normal.mean().item<double>() == Approx(0).margin(.05));
  CHECK(normal.std().item<double>() == Approx(1).margin(.04));
  CHECK(normal.scalar_type() == at::kFloat);
}

TEST_CASE("a method's random numbers leave the global generator as it was") {
  torch::manual_seed(5);
  const at::Tensor untouched = torch::rand({4});
  torch::manual_seed(5);
  sg::detail::uniform({100}, 1);
  sg::detail::normal({100}, 1);
  CHECK(torch::rand({4}).equal(untouched));
}
