#include <sightglass/model/reshape.hpp>

#include <torch/torch.h>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

TEST_CASE("tokens become a grid, row by row, without the class token, and go back") {
  const at::Tensor tokens = torch::arange(2 * 7 * 4, torch::kFloat).view({2, 7, 4});
  const sg::Reshape grid = sg::Reshape::tokens(2, 3);
  const at::Tensor maps = grid.to_maps(tokens);
  REQUIRE(maps.sizes() == at::IntArrayRef({2, 4, 2, 3}));
  for (int64_t y = 0; y < 2; ++y) {
    for (int64_t x = 0; x < 3; ++x) {
      CHECK(maps.select(3, x).select(2, y).equal(tokens.select(1, 1 + y * 3 + x)));
    }
  }
  CHECK(grid.to_output(maps, tokens).equal(tokens));
  CHECK_THROWS_WITH(sg::Reshape::tokens(3, 3).to_maps(tokens),
                    ContainsSubstring("tokens: got [2, 7, 4], expected [N, 1 + 9, C]"));
}

TEST_CASE("the last dimension becomes channels, and goes back") {
  const at::Tensor output = torch::rand({2, 3, 5, 4});
  const sg::Reshape turn = sg::Reshape::channels_last();
  CHECK(turn.to_maps(output).equal(output.permute({0, 3, 1, 2})));
  CHECK(turn.to_output(turn.to_maps(output), output).equal(output));
}
