#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

/// Where numbers stand along an axis, and which of them are written beside it.
namespace sightglass {

/// How an axis grows: by differences, or by ratios (values at or below 0 have no place then).
enum class Scale { linear, logarithmic };
/// What an axis counts in: `whole` has no ticks between 3 and 4.
enum class Numbers { real, whole };

namespace detail {

/// The distance of about `count` ticks over a span: 1, 2 or 5 times a power of ten.
inline double tick_step(double span, int count) {
  const double raw = span / std::max(count, 1);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

/// The multiples of a step within [low, high].
inline std::vector<double> multiples(double low, double high, double step) {
  std::vector<double> values;
  for (double index = std::ceil(low / step - 1e-9); index * step <= high + 1e-9 * step; ++index)
    values.push_back(index * step + 0.0);
  return values;
}

/// The ticks within [low, high], whole multiples of the step.
inline std::vector<double> ticks(double low, double high, int count) {
  if (!(high > low)) return {low};
  return multiples(low, high, tick_step(high - low, count));
}

/// A number with as many decimals as the ticks' step needs, or in powers of ten where that would be long.
inline std::string tick_label(double value, double step) {
  char label[32];
  if (std::max(std::abs(value), step) >= 1e5 || step < 1e-4)
    std::snprintf(label, sizeof label, "%.3g", value);
  else
    std::snprintf(label, sizeof label, "%.*f", std::max(0, -static_cast<int>(std::floor(std::log10(step) + 1e-9))),
                  value);
  return label;
}

struct Tick {
  double value;
  std::string label;
};

/// An axis from `low` to `high`, `low` below `high`; a logarithmic one lies above 0.
struct Axis {
  double low = 0;
  double high = 1;
  Scale scale = Scale::linear;
  Numbers numbers = Numbers::real;

  /// Whether a value has a place: finite, and above 0 on a logarithmic axis.
  bool takes(double value) const { return std::isfinite(value) && (scale == Scale::linear || value > 0); }

  /// 0 at `low`, 1 at `high`; outside below 0 or above 1.
  double place(double value) const {
    if (scale == Scale::linear) return (value - low) / (high - low);
    return std::log(value / low) / std::log(high / low);
  }

  /// About `count` values within the axis.
  std::vector<Tick> ticks(int count) const {
    if (scale == Scale::logarithmic && high / low >= 10) return decades(count);
    double step = tick_step(high - low, count);
    if (numbers == Numbers::whole) step = std::max(step, 1.0);
    std::vector<Tick> found;
    for (const double value : multiples(low, high, step)) found.push_back({value, tick_label(value, step)});
    return found;
  }

 private:
  /// Powers of ten, each second or third where they are many; with twos and fives where they are few.
  std::vector<Tick> decades(int count) const {
    const double first = std::floor(std::log10(low)), last = std::ceil(std::log10(high));
    const double every = std::max(1.0, std::ceil((last - first) / std::max(count, 1)));
    std::vector<double> factors = {1};
    if (3 * (last - first) <= count) factors = {1, 2, 5};
    std::vector<Tick> found;
    // Whole numbers. NOLINTNEXTLINE(clang-analyzer-security.FloatLoopCounter)
    for (double exponent = std::ceil(first / every) * every; exponent <= last; exponent += every) {
      for (const double factor : factors) {
        const double value = factor * std::pow(10.0, exponent);
        if (value < low * (1 - 1e-9) || value > high * (1 + 1e-9)) continue;
        char label[32];
        std::snprintf(label, sizeof label, value >= 1e-3 && value < 1e5 ? "%.6g" : "%.0e", value);
        found.push_back({value, label});
      }
    }
    return found;
  }
};

/// An axis that shows all of the values that have a place on it: from their smallest to their largest, and a little
/// beyond, or to where it is told to end. NaN for `low` and `high`: as the values ask for.
inline Axis axis_over(const std::vector<double>& values, Scale scale = Scale::linear,
                      double low = std::numeric_limits<double>::quiet_NaN(),
                      double high = std::numeric_limits<double>::quiet_NaN()) {
  Axis axis{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), scale, Numbers::real};
  for (const double value : values) {
    if (!axis.takes(value)) continue;
    axis.low = std::min(axis.low, value);
    axis.high = std::max(axis.high, value);
  }
  const bool logarithmic = scale == Scale::logarithmic;
  if (axis.low > axis.high) axis.low = axis.high = logarithmic ? 1 : 0;  // there are none
  if (logarithmic) {
    const double beyond = axis.high > axis.low * 1.01 ? std::pow(axis.high / axis.low, 0.04) : 3;
    axis.low /= beyond;
    axis.high *= beyond;
  } else {
    const double span = axis.high - axis.low, size = std::max(std::abs(axis.low), std::abs(axis.high));
    const double beyond = span > 1e-9 * size ? 0.04 * span : (size > 0 ? 0.5 * size : 1);
    axis.low -= beyond;
    axis.high += beyond;
  }
  if (axis.takes(low)) axis.low = low;
  if (axis.takes(high)) axis.high = high;
  if (axis.high <= axis.low) axis.high = logarithmic ? axis.low * 10 : axis.low + 1;
  return axis;
}

}  // namespace detail
}  // namespace sightglass
