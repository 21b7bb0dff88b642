#include <sightglass/metrics/detail/check.hpp>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;

TEST_CASE("a metric takes the explanation of its own batch only") {
  const sg::Explanation two = support::maps_of(torch::rand({2, 3, 3}));
  CHECK_NOTHROW(sg::detail::check_batch(two, torch::rand({2, 3, 9, 9})));
  CHECK_THROWS_WITH(sg::detail::check_batch(two, torch::rand({3, 3, 9, 9})),
                    ContainsSubstring("explanation: got one of 2 images for an input of 3"));
}
