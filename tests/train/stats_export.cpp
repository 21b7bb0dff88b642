#include "sightglass/train/stats_export.hpp"

#include <limits>

#include "support/harness/catch.hpp"
#include "support/harness/scratch_file.hpp"

namespace sg = sightglass;
using sg::detail::from_json_line;
using sg::detail::to_csv_rows;
using sg::detail::to_json_line;

namespace {

sg::BatchRecord record() {
  sg::LayerRecord conv;
  conv.name = "block 1, \"left\".conv\\1\n";
  conv[sg::Figure::mean] = -0.5F;
  conv[sg::Figure::std] = std::numeric_limits<float>::infinity();
  conv[sg::Figure::gradient_norm] = 0.125F;
  conv.histogram = {3, 0, 16777216};
  sg::LayerRecord idle;
  idle.name = "idle";
  return {20, {conv, idle}};
}

}  // namespace

TEST_CASE("a record is one line of valid JSON; what is not finite is null", "[stats_export]") {
  CHECK(to_json_line(record()) ==
        "{\"batch\": 20, \"layers\": {\"block 1, \\\"left\\\".conv\\\\1\\u000a\": {\"mean\": -0.5, \"std\": null, "
        "\"gradient_norm\": 0.125, \"histogram\": [3, 0, 16777216]}, \"idle\": {}}}\n");
}

TEST_CASE("what was written as JSON is read back, to the last bit", "[stats_export]") {
  sg::BatchRecord before = record();
  before.layers[0][sg::Figure::near_zero] = 1.F / 3;
  const sg::BatchRecord after = from_json_line(to_json_line(before));
  CHECK(after.batch == 20);
  REQUIRE(after.layers.size() == 2);
  CHECK(after.layers[0].name == before.layers[0].name);
  CHECK(after.layers[0].figures[0] == before.layers[0].figures[0]);
  CHECK(after.layers[0].figures[2] == before.layers[0].figures[2]);
  CHECK(after.layers[0].figures[6] == before.layers[0].figures[6]);
  REQUIRE(after.layers[0].figures[1]);
  CHECK(std::isnan(*after.layers[0].figures[1]));
  CHECK_FALSE(after.layers[0].figures[3]);
  CHECK(after.layers[0].histogram == before.layers[0].histogram);
  CHECK(after.layers[1].name == "idle");
}

TEST_CASE("lines of another kind are refused with the place", "[stats_export]") {
  for (const char* line : {"", "{", "{\"batch\": x}", "{\"step\": 1}", "[1]", "{\"batch\": 1, \"layers\": {\"a\": 3}}",
                           "{\"batch\": 1, \"layers\": {\"a\": {\"median\": 3}}}", "{\"batch\": 1", "{\"a\\u0"}) {
    INFO(line);
    CHECK_THROWS_WITH(from_json_line(line), ContainsSubstring("not a line of ActivationStats: expected"));
  }
}

TEST_CASE("CSV has a row a layer, its name quoted where it must be, and nothing for what was not asked for",
          "[stats_export]") {
  CHECK(sg::detail::csv_header() ==
        "batch,layer,mean,std,near_zero,dead_channels,gradient_mean,gradient_std,gradient_norm,gradient_zeros,"
        "update_ratio\n");
  sg::BatchRecord two = record();
  two.layers[0].name = "a,\"b\"";
  CHECK(to_csv_rows(two) == "20,\"a,\"\"b\"\"\",-0.5,inf,,,,,0.125,,\n20,idle,,,,,,,,,\n");
  CHECK(sg::detail::batch_of_csv_row("20,idle,,,") == 20);
  CHECK_THROWS_WITH(sg::detail::batch_of_csv_row("idle"), ContainsSubstring("not a row of ActivationStats: idle"));
}

TEST_CASE("a file is read as a history, without a last line that a crash broke off", "[stats_export]") {
  const support::ScratchFile file("stats.jsonl");
  sg::BatchRecord next = record();
  next.batch = 40;
  file.write(to_json_line(record()) + to_json_line(next) + "{\"batch\": 60, \"lay");
  const sg::StatsHistory history = sg::read_stats(file.path());
  CHECK(history.batches().equal(torch::tensor({20, 40}, torch::kLong)));
  CHECK(history.layer(0).histograms().sizes() == at::IntArrayRef({2, 3}));
  CHECK_THROWS_WITH(sg::read_stats("/nowhere.jsonl"), ContainsSubstring("\"/nowhere.jsonl\" cannot be read"));
}
