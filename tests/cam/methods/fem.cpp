#include <sightglass/cam/methods/fem.hpp>

#include "support/harness/catch.hpp"
#include "support/nets/small.hpp"
#include "support/nets/tiny.hpp"

namespace sg = sightglass;

TEST_CASE("fem keeps what stands out of a channel, and weighs it by the channel's mean") {
  // Mean 1, sigma sqrt(8): 9 > 6.7. Mean 4, sigma sqrt(32): 20 > 15.3.
  const at::Tensor a = torch::tensor({0.f, 0.f, 9.f, 0.f, 0.f, 0.f, 0.f, 0.f, 0.f,  //
                                      2.f, 2.f, 2.f, 2.f, 2.f, 2.f, 2.f, 20.f, 2.f});
  const at::Tensor wanted = torch::tensor({0.f, 0.f, 1.f, 0.f, 0.f, 0.f, 0.f, 4.f, 0.f});
  CHECK(sg::fem(a.view({1, 2, 3, 3})).equal(wanted.view({1, 3, 3})));
  CHECK(sg::fem(a.view({1, 2, 9})).equal(wanted.view({1, 9})));
  CHECK(sg::fem(a.view({1, 2, 1, 3, 3})).equal(wanted.view({1, 1, 3, 3})));
  // With three deviations nothing stands out: 9 < 9.5, 20 < 21.
  CHECK(sg::fem(a.view({1, 2, 9}), 3.0).equal(torch::zeros({1, 9})));
}

TEST_CASE("fem takes the standard deviation of all places, not an estimate from them") {
  // Mean 1, sigma sqrt(5): 6 > 5.7; with one place less in the denominator it would be 6 < 6.1.
  const at::Tensor a = torch::tensor({0.f, 6.f, 0.f, 0.f, 0.f, 0.f});
  CHECK(sg::fem(a.view({1, 1, 6}), 2.1).equal(torch::tensor({{0.f, 1.f, 0.f, 0.f, 0.f, 0.f}})));
}

TEST_CASE("fem finds nothing in a constant channel") {
  CHECK(sg::fem(torch::full({1, 2, 3, 3}, .1f)).equal(torch::zeros({1, 3, 3})));
}

TEST_CASE("fem says which argument does not fit") {
  CHECK_THROWS_WITH(sg::fem(torch::zeros({2, 3})), ContainsSubstring("activations: got [2, 3]"));
}

TEST_CASE("FEM of a batch is that of its images") { support::check_batch_is_its_images(sg::Fem{1.0}); }
