#include <sightglass/model/layer_info.hpp>

#include <cstdint>
#include <utility>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;
using Shape = std::vector<int64_t>;

TEST_CASE("a layer is spatial when a map can be drawn of its output") {
  const auto spatial = [](Shape shape) { return sg::LayerInfo{"", "", std::move(shape)}.is_spatial(); };
  CHECK(spatial({2, 64, 7, 7}));
  CHECK(spatial({2, 64, 7}));
  CHECK(spatial({2, 64, 3, 7, 7}));
  CHECK(spatial({2, 64, 1, 7}));
  CHECK_FALSE(spatial({2, 64, 1, 1}));
  CHECK_FALSE(spatial({2, 64, 1}));
  CHECK_FALSE(spatial({2, 64}));
  CHECK_FALSE(spatial({2, 2, 2, 2, 2, 2}));
  CHECK_FALSE(spatial({}));
}

TEST_CASE("a layer is spatial by its maps, where they are of another shape than its output") {
  CHECK(sg::LayerInfo{"", "", {2, 197, 64}, {2, 64, 14, 14}}.is_spatial());
  CHECK_FALSE(sg::LayerInfo{"", "", {2, 7, 7, 64}, {2, 64, 1, 1}}.is_spatial());
}
