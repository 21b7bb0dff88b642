#include <sightglass/metrics/pointing_game.hpp>

#include <cmath>
#include <vector>

#include "support/harness/catch.hpp"
#include "support/data/maps.hpp"

namespace sg = sightglass;

namespace {

sg::Explanation map_of(std::vector<float> values, int64_t height, int64_t width) {
  return support::maps_of(torch::tensor(values).view({1, height, width}));
}

}  // namespace

TEST_CASE("the pointing game counts peaks in boxes, and tells energy and chance beside") {
  const sg::Explanation map = map_of({0, 1, -5, /**/ 3, 0, 0}, 2, 3);  // the peak is at x 0, y 1
  sg::PointingGame game;
  game.add(map, 0, {0, 1, 1, 2}, 2, 3);  // hit: 3 of the 4 above zero, 1 of 6 pixels
  CHECK(game.hit_rate() == 1.0);
  CHECK(game.energy() == 0.75);
  CHECK(game.chance() == Approx(1.0 / 6));
  game.add(map, 0, {1, 0, 3, 2}, 2, 3);  // miss: 1 of the 4, 4 of 6 pixels
  CHECK(game.hits() == 1);
  CHECK(game.count() == 2);
  CHECK(game.hit_rate() == 0.5);
  CHECK(game.energy() == 0.5);
  CHECK(game.chance() == Approx(2.5 / 6));
}

TEST_CASE("a box's end is exclusive, its begin inclusive") {
  const sg::Explanation map = map_of({0, 1, 0, 0}, 2, 2);  // the peak is at x 1, y 0
  sg::PointingGame game;
  game.add(map, 0, {0, 0, 1, 1}, 2, 2);
  CHECK(game.hits() == 0);
  game.add(map, 0, {1, 0, 2, 1}, 2, 2);
  CHECK(game.hits() == 1);
}

TEST_CASE("a map is enlarged to the picture's size first") {
  const sg::Explanation map = map_of({0, 0, /**/ 0, 8}, 2, 2);
  sg::PointingGame game;
  game.add(map, 0, {6, 6, 8, 8}, 8, 8);
  CHECK(game.hits() == 1);
  CHECK(game.energy() > game.chance());
}

TEST_CASE("a map without evidence, or with NaN, has no energy") {
  sg::PointingGame game;
  game.add(map_of({-1, -2, -3, -4}, 2, 2), 0, {0, 0, 1, 1}, 2, 2);
  game.add(map_of({NAN, NAN, NAN, NAN}, 2, 2), 0, {0, 0, 1, 1}, 2, 2);
  CHECK(game.energy() == 0.0);
}

TEST_CASE("the energy in a box is its share of the values above zero") {
  const torch::Tensor map = torch::tensor({{1.0, 2.0, -4.0}, {3.0, 0.0, 4.0}});
  CHECK(sg::energy_in(map, {0, 0, 3, 2}) == 1.0);
  CHECK(sg::energy_in(map, {0, 0, 1, 2}) == 0.4);
  CHECK(sg::energy_in(map, {1, 0, 3, 1}) == 0.2);
  CHECK(sg::energy_in(map, {1, 1, 1, 2}) == 0.0);
  CHECK(sg::energy_in(-map.abs(), {0, 0, 1, 1}) == 0.0);
  CHECK(sg::energy_in(torch::tensor({{NAN, INFINITY}, {1.f, 3.f}}), {1, 0, 2, 2}) == 0.75);
  CHECK_THROWS_WITH(sg::energy_in(map, {0, 0, 4, 2}),
                    ContainsSubstring("box: got x 0 to 4, y 0 to 2 for a map [2, 3]"));
  CHECK_THROWS_WITH(sg::energy_in(map, {2, 0, 1, 2}), ContainsSubstring("box: got x 2 to 1"));
  CHECK_THROWS_WITH(sg::energy_in(map.unsqueeze(0), {0, 0, 1, 1}), ContainsSubstring("map: got [1, 2, 3]"));
}

TEST_CASE("boxes that are empty or outside, and a game without pictures, are errors") {
  const sg::Explanation map = map_of({0, 1, 2, 3}, 2, 2);
  sg::PointingGame game;
  CHECK_THROWS_WITH(game.hit_rate(), ContainsSubstring("no picture was added"));
  CHECK_THROWS_WITH(game.add(map, 0, {1, 0, 1, 2}, 2, 2), ContainsSubstring("box: got x 1 to 1"));
  CHECK_THROWS_WITH(game.add(map, 0, {0, 0, 3, 2}, 2, 2), ContainsSubstring("a picture of 2 x 2"));
}
