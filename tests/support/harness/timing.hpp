#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ctime>
#include <functional>
#include <vector>

/// Ratios of times from interleaved runs: what else the machine does falls on both.
namespace support {

inline double seconds(const std::function<void()>& run) {
  const auto before = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
}

/// What the processor worked for this process: on one thread, other programs fall on it little.
inline double cpu_seconds(const std::function<void()>& run) {
  const std::clock_t before = std::clock();
  run();
  return static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

struct Ratio {
  double plain = 0;      ///< seconds, the median
  double explained = 0;  ///< seconds, the median
  double paired = 0;     ///< the median of the ratios of neighbouring runs
  double value() const { return explained / plain; }
};

/// Runs both in turn, each first every other time: whoever comes second finds a warm cache.
inline Ratio compare(int runs, const std::function<void()>& plain, const std::function<void()>& explained,
                     double (*clock)(const std::function<void()>&) = seconds) {
  for (int warm = 0; warm < (runs > 5 ? 3 : 1); ++warm) {
    plain();
    explained();
  }
  std::vector<double> a, b, ratios;
  for (int run = 0; run < runs; ++run) {
    const bool first = run % 2 == 0;
    const double one = clock(first ? plain : explained);
    const double other = clock(first ? explained : plain);
    a.push_back(first ? one : other);
    b.push_back(first ? other : one);
    ratios.push_back(b.back() / a.back());
  }
  return {median(a), median(b), median(ratios)};
}

}  // namespace support
