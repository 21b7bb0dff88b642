#include <sightglass/cam/fuse.hpp>

#include <torch/torch.h>

#include <cmath>
#include <vector>

#include "support/harness/catch.hpp"

namespace sg = sightglass;

namespace {

sg::Explanation explanation(const at::Tensor& map, float score = 1) {
  return {map, torch::full({map.size(0)}, score), torch::full({map.size(0)}, 3, at::kLong), {8, 8}};
}

}  // namespace

TEST_CASE("maps are normalised and then fused, by hand") {
  // Normalised (0 .5; 1 .25) and (1 0; .5 .5).
  const std::vector<sg::Explanation> both{explanation(torch::tensor({{{0.f, 2.f}, {4.f, 1.f}}}), 5),
                                          explanation(torch::tensor({{{1.f, -1.f}, {0.f, 0.f}}}))};
  CHECK(sg::fuse(both).map().allclose(torch::tensor({{{.5f, .25f}, {.75f, .375f}}})));
  CHECK(sg::fuse(both, sg::Fusion::max).map().allclose(torch::tensor({{{1.f, .5f}, {1.f, .5f}}})));
  CHECK(sg::fuse(both, sg::Fusion::product).map().allclose(torch::tensor({{{0.f, 0.f}, {.5f, .125f}}})));
  // tanh(2 M / max M): of (0 1; 2 .5) and (2 -2; 0 0).
  const auto t = [](double x) { return static_cast<float>(std::tanh(x)); };
  CHECK(sg::fuse(both, sg::Fusion::tanh).map().allclose(torch::tensor({{{t(2), t(1)}, {t(2), t(.5)}}})));
  CHECK(sg::fuse(both).scores().equal(torch::tensor({5.f})));
  CHECK(sg::fuse(both).targets().equal(torch::tensor({3})));
  CHECK(sg::fuse(both).input_size() == std::vector<int64_t>{8, 8});
}

TEST_CASE("one explanation alone is normalised, each image by its own extremes") {
  const at::Tensor map = torch::tensor({{{0.f, 2.f}}, {{10.f, 30.f}}});
  for (const sg::Fusion fusion : {sg::Fusion::mean, sg::Fusion::max, sg::Fusion::product}) {
    CHECK(sg::fuse({explanation(map)}, fusion).map().allclose(torch::tensor({{{0.f, 1.f}}, {{0.f, 1.f}}})));
  }
}

TEST_CASE("smaller maps are enlarged to the largest") {
  // (0 1) enlarged to four places is (0 .25 .75 1).
  const std::vector<sg::Explanation> both{explanation(torch::tensor({{0.f, 1.f}})),
                                          explanation(torch::tensor({{1.f, 0.f, 0.f, 1.f}}))};
  CHECK(sg::fuse(both, sg::Fusion::product).map().allclose(torch::tensor({{0.f, 0.f, 0.f, 1.f}})));
  CHECK(sg::fuse(both).map().allclose(torch::tensor({{.5f, .125f, .375f, 1.f}})));
}

TEST_CASE("maps by their peaks: enlarged, divided by their greatest value, so that what is 0 stays so") {
  // (0 3 0) enlarged to six places is (0 .75 2.25 2.25 .75 0), (2 4 4) is (2 2.5 3.5 4 4 4).
  const std::vector<sg::Explanation> both{explanation(torch::tensor({{0.f, 3.f, 0.f}})),
                                          explanation(torch::tensor({{2.f, 4.f, 4.f}}))};
  CHECK(sg::fuse({both[0]}, sg::Fusion::peaks, {6})
            .map()
            .allclose(torch::tensor({{0.f, 1.f / 3, 1.f, 1.f, 1.f / 3, 0.f}})));
  CHECK(sg::fuse(both, sg::Fusion::peaks, {6}).map().allclose(torch::tensor({{.5f, .625f, 1.f, 1.f, 1.f, 1.f}})));
  CHECK(sg::fuse(both, sg::Fusion::peaks).map().allclose(torch::tensor({{.5f, 1.f, 1.f}})));
  CHECK(sg::fuse({explanation(torch::tensor({{-1.f, 0.f}}))}, sg::Fusion::peaks)
            .map()
            .equal(torch::tensor({{-1.f, 0.f}})));
  CHECK_THROWS_WITH(sg::fuse(both, sg::Fusion::peaks, {6, 6}), ContainsSubstring("size: got [6, 6]"));
}

TEST_CASE("constant maps fuse to 0, never NaN") {
  for (const sg::Fusion fusion :
       {sg::Fusion::mean, sg::Fusion::max, sg::Fusion::peaks, sg::Fusion::product, sg::Fusion::tanh}) {
    const std::vector<sg::Explanation> both(2, explanation(torch::zeros({1, 2, 2})));
    CHECK(sg::fuse(both, fusion).map().equal(torch::zeros({1, 2, 2})));
  }
}

TEST_CASE("fuse says what cannot be fused") {
  CHECK_THROWS_WITH(sg::fuse({}), ContainsSubstring("explanations: got none"));
  CHECK_THROWS_WITH(sg::fuse({explanation(torch::zeros({1, 2, 2})), explanation(torch::zeros({2, 2, 2}))}),
                    ContainsSubstring("explanations: their maps must be of one batch"));
}
