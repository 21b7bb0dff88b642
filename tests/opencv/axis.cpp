#include "sightglass/opencv/axis.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/harness/catch.hpp"

using sightglass::Numbers;
using sightglass::Scale;
using sightglass::detail::Axis;
using sightglass::detail::axis_over;
using sightglass::detail::tick_label;
using sightglass::detail::tick_step;
using sightglass::detail::ticks;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();

std::vector<std::string> labels(const Axis& axis, int count) {
  std::vector<std::string> all;
  for (const auto& tick : axis.ticks(count)) all.push_back(tick.label);
  return all;
}

using Labels = std::vector<std::string>;

}  // namespace

TEST_CASE("ticks stand on ones, twos and fives") {
  CHECK(tick_step(1, 5) == Approx(0.2));
  CHECK(tick_step(1, 6) == Approx(0.2));
  CHECK(tick_step(9, 6) == Approx(2));
  CHECK(tick_step(300, 10) == Approx(50));
  CHECK(tick_step(7, 1) == Approx(10));
  const std::vector<double> found = ticks(-0.9, 1.3, 5);
  const std::vector<double> expected = {-0.5, 0, 0.5, 1};
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) CHECK(found[i] == Approx(expected[i]).margin(1e-12));
  CHECK_FALSE(std::signbit(found[1]));
  CHECK(ticks(0, 1, 5).size() == 6);  // both ends
}

TEST_CASE("labels have the decimals that the step needs") {
  CHECK(tick_label(0, 0.2) == "0.0");
  CHECK(tick_label(-0.05, 0.05) == "-0.05");
  CHECK(tick_label(20, 10) == "20");
  CHECK(tick_label(1.5e7, 5e6) == "1.5e+07");
  CHECK(tick_label(2e-6, 2e-6) == "2e-06");
}

TEST_CASE("a value's place grows by differences on a linear axis, by ratios on a logarithmic one") {
  const Axis linear{10, 30, Scale::linear, Numbers::real};
  CHECK(linear.place(10) == Approx(0));
  CHECK(linear.place(15) == Approx(0.25));
  CHECK(linear.place(40) == Approx(1.5));
  const Axis logarithmic{0.01, 100, Scale::logarithmic, Numbers::real};
  CHECK(logarithmic.place(0.01) == Approx(0));
  CHECK(logarithmic.place(1) == Approx(0.5));
  CHECK(logarithmic.place(100) == Approx(1));
}

TEST_CASE("what is not finite, or not above 0 on a logarithmic axis, has no place") {
  const Axis linear;
  CHECK(linear.takes(-3));
  CHECK_FALSE(linear.takes(not_a_number));
  CHECK_FALSE(linear.takes(-inf));
  const Axis logarithmic{1, 10, Scale::logarithmic, Numbers::real};
  CHECK(logarithmic.takes(1e-30));
  CHECK_FALSE(logarithmic.takes(0));
  CHECK_FALSE(logarithmic.takes(-1));
  CHECK_FALSE(logarithmic.takes(inf));
}

TEST_CASE("an axis shows all values that have a place, and a little beyond") {
  const Axis axis = axis_over({3, not_a_number, 1, inf, 2});
  CHECK(axis.low == Approx(1 - 0.08));
  CHECK(axis.high == Approx(3 + 0.08));
  const Axis logarithmic = axis_over({1, 0, -5, 100}, Scale::logarithmic);
  CHECK(logarithmic.low == Approx(std::pow(100, -0.04)));
  CHECK(logarithmic.high == Approx(std::pow(100, 1.04)));
}

TEST_CASE("an axis ends where it is told to") {
  const Axis axis = axis_over({0.2, 0.4}, Scale::linear, 0, 1);
  CHECK(axis.low == 0);
  CHECK(axis.high == 1);
  CHECK(axis_over({5, 6}, Scale::linear, not_a_number, 2).high > axis_over({5, 6}, Scale::linear, not_a_number, 2).low);
}

TEST_CASE("one value, or none, still makes an axis") {
  CHECK(axis_over({4}).low == Approx(2));
  CHECK(axis_over({4}).high == Approx(6));
  CHECK(axis_over({0, 0}).low == Approx(-1));
  CHECK(axis_over({}).high == Approx(1));
  CHECK(axis_over({not_a_number}).low == Approx(-1));
  const Axis logarithmic = axis_over({-1}, Scale::logarithmic);
  CHECK(logarithmic.low > 0);
  CHECK(logarithmic.high > logarithmic.low);
  const Axis huge = axis_over({-3e38, 3e38});
  CHECK(std::isfinite(huge.place(0)));
}

TEST_CASE("a logarithmic axis has powers of ten, fewer where they are many, twos and fives where they are few") {
  CHECK(labels({0.5, 2000, Scale::logarithmic, Numbers::real}, 5) == Labels{"1", "10", "100", "1000"});
  CHECK(labels({1e-8, 1e4, Scale::logarithmic, Numbers::real}, 5) == Labels{"1e-06", "0.001", "1", "1000"});
  CHECK(labels({1, 20, Scale::logarithmic, Numbers::real}, 6) == Labels{"1", "2", "5", "10", "20"});
  CHECK(labels({3, 6, Scale::logarithmic, Numbers::real}, 3) == Labels{"3", "4", "5", "6"});  // less than a decade
}

TEST_CASE("whole numbers have no ticks in between") {
  CHECK(labels({0, 3, Scale::linear, Numbers::whole}, 10) == Labels{"0", "1", "2", "3"});
  CHECK(labels({0, 1, Scale::linear, Numbers::real}, 5) == Labels{"0.0", "0.2", "0.4", "0.6", "0.8", "1.0"});
}
