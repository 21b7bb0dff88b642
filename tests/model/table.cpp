#include <sightglass/model/detail/table.hpp>

#include <cstdint>

#include "support/harness/catch.hpp"

namespace sgd = sightglass::detail;

TEST_CASE("a table's columns are as wide as their widest cell, and align left or right") {
  sgd::Table table({{"layer", sgd::Align::left}, {"n", sgd::Align::right}});
  table.add({"a", "100"});
  table.rule();
  table.add({"longer", "7"});
  CHECK(table.text() ==
        "layer     n\n"
        "-----------\n"
        "a       100\n"
        "-----------\n"
        "longer    7\n");
}

TEST_CASE("whole numbers are grouped by three") {
  CHECK(sgd::grouped(0) == "0");
  CHECK(sgd::grouped(999) == "999");
  CHECK(sgd::grouped(1000) == "1,000");
  CHECK(sgd::grouped(11689512) == "11,689,512");
  CHECK(sgd::grouped(-123456) == "-123,456");
}

TEST_CASE("large numbers get a unit and three digits") {
  CHECK(sgd::short_count(0) == "0");
  CHECK(sgd::short_count(999) == "999");
  CHECK(sgd::short_count(1000) == "1.00 k");
  CHECK(sgd::short_count(999600) == "1.00 M");
  CHECK(sgd::short_count(1814073344) == "1.81 G");
  CHECK(sgd::short_count(118013952) == "118 M");
  CHECK(sgd::short_count(INT64_MAX) == "9223372 T");
  CHECK(sgd::short_bytes(512) == "512 B");
  CHECK(sgd::short_bytes(3211264) == "3.06 MiB");
  CHECK(sgd::short_bytes(1024 * 100) == "100 KiB");
}
