#include "sightglass/train/stats_history.hpp"

#include "support/harness/catch.hpp"

namespace sg = sightglass;
using torch::Tensor;

namespace {

sg::LayerRecord record(const std::string& name, float mean, std::vector<float> histogram = {}) {
  sg::LayerRecord layer;
  layer.name = name;
  layer[sg::Figure::mean] = mean;
  layer[sg::Figure::std] = 2 * mean;
  layer[sg::Figure::near_zero] = 0.5F;
  layer.histogram = std::move(histogram);
  return layer;
}

sg::StatsHistory history() {
  sg::StatsHistory all;
  all.append({0, {record("conv1", 1, {3, 0}), record("fc", 5)}});
  all.append({20, {record("conv1", 2, {1, 2})}});
  all.append({40, {record("conv1", 3, {0, 3}), record("fc", 7), record("late", 9)}});
  return all;
}

}  // namespace

TEST_CASE("figures of a layer are series over the recorded batches", "[stats_history]") {
  const sg::StatsHistory all = history();
  CHECK(all.names() == std::vector<std::string>{"conv1", "fc", "late"});
  CHECK(all.size() == 3);
  CHECK(all.steps() == 3);
  CHECK(all.batches().equal(torch::tensor({0, 20, 40}, torch::kLong)));
  const sg::LayerStats conv = all.layer("conv1");
  CHECK(conv.mean().equal(torch::tensor({1.F, 2.F, 3.F})));
  CHECK(conv.std().equal(torch::tensor({2.F, 4.F, 6.F})));
  CHECK(conv.histograms().equal(torch::tensor({{3.F, 0.F}, {1.F, 2.F}, {0.F, 3.F}})));
  CHECK_FALSE(conv.gradient_norm().defined());
  CHECK_FALSE(conv.update_ratio().defined());
  CHECK_FALSE(all.layer("fc").histograms().defined());
}

TEST_CASE("where a layer did not run its figures are NaN", "[stats_history]") {
  const sg::StatsHistory all = history();
  CHECK(torch::nan_to_num(all.layer("fc").mean(), -1.).equal(torch::tensor({5.F, -1.F, 7.F})));
  CHECK(torch::nan_to_num(all.layer("late").mean(), -1.).equal(torch::tensor({-1.F, -1.F, 9.F})));
}

TEST_CASE("layer_stats and hist are fastai's", "[stats_history]") {
  const sg::StatsHistory all = history();
  const auto rows = all.layer_stats(0);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].equal(all.layer("conv1").mean()));
  CHECK(rows[1].equal(all.layer("conv1").std()));
  CHECK(rows[2].equal(all.layer("conv1").near_zero()));
  CHECK(torch::allclose(all.hist(0), torch::tensor({{3.F, 1.F, 0.F}, {0.F, 2.F, 3.F}}).log1p()));
  CHECK_THROWS_WITH(all.hist(1), ContainsSubstring("no histograms of layer \"fc\"") && ContainsSubstring("also("));
}

TEST_CASE("unknown layers and steps are errors that say what there is", "[stats_history]") {
  const sg::StatsHistory all = history();
  CHECK_THROWS_WITH(all.layer("conv2"), ContainsSubstring("\"conv2\"") && ContainsSubstring("nearest: \"conv1\""));
  CHECK_THROWS_WITH(all.layer(3), ContainsSubstring("got index 3; there are 3 layers"));
  CHECK_THROWS_WITH(all.layer(0).dead(3), ContainsSubstring("got 3; there are 3 recorded batches"));
  CHECK_THROWS_WITH(sg::StatsHistory().layer("fc"), ContainsSubstring("nearest: none"));
}

TEST_CASE("records from a batch on can be forgotten", "[stats_history]") {
  sg::StatsHistory all = history();
  all.forget_from(20);
  CHECK(all.batches().equal(torch::tensor({0}, torch::kLong)));
  CHECK(all.layer("conv1").mean().equal(torch::tensor({1.F})));
  all.append({20, {record("fc", 8)}});
  CHECK(all.layer("fc").mean().equal(torch::tensor({5.F, 8.F})));
}
