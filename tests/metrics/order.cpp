#include <sightglass/metrics/order.hpp>

#include <cmath>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;

TEST_CASE("places come from the map's highest to its lowest, for each image") {
  const at::Tensor maps = torch::tensor({1.f, 4.f, -3.f, 2.f, /**/ 9.f, 7.f, 8.f, 6.f}).view({2, 2, 2});
  const at::Tensor order = sg::detail::places_by_relevance(support::maps_of(maps), {2, 2});
  CHECK(order.equal(torch::tensor({1, 3, 0, 2, /**/ 0, 2, 1, 3}, torch::kLong).view({2, 4})));
}

TEST_CASE("NaN in a map counts as nothing, and a map is enlarged first") {
  const at::Tensor maps = torch::tensor({NAN, 1.f}).view({1, 1, 2});
  const at::Tensor order = sg::detail::places_by_relevance(support::maps_of(maps), {1, 4});
  CHECK(order.equal(torch::tensor({3, 2, 1, 0}, torch::kLong).view({1, 4})));
}

TEST_CASE("the random order has each place once, is the same for all images and for the same seed") {
  const at::Tensor like = torch::zeros({2, 100}, torch::kLong);
  const at::Tensor order = sg::detail::places_at_random(like, 3);
  CHECK(std::get<0>(order[0].sort()).equal(torch::arange(100)));
  CHECK_FALSE(order[0].equal(torch::arange(100)));
  CHECK(order[0].equal(order[1]));
  CHECK(order.equal(sg::detail::places_at_random(like, 3)));
  CHECK_FALSE(order.equal(sg::detail::places_at_random(like, 4)));
}

TEST_CASE("a place's rank is its number in the order") {
  const at::Tensor order = torch::tensor({2, 0, 3, 1}, torch::kLong);
  CHECK(sg::detail::rank_of_places(order, {2, 2}).equal(torch::tensor({1, 3, 0, 2}, torch::kLong).view({2, 2})));
}
