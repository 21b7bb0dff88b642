#pragma once

#include <chrono>
#include <cstdio>
#include <string>

// What `shapes` prints.
namespace support {

/// Seconds since it was made.
class Clock {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

inline std::string percent(double share) {
  char text[16];
  std::snprintf(text, sizeof text, "%.1f %%", 100 * share);
  return text;
}

inline void say_drawn(int pictures, const Clock& since) {
  std::printf("drew %d pictures to train on in %.1f s\n", pictures, since.seconds());
}

inline void say_trained(const Clock& since) { std::printf("trained in %.1f s\n", since.seconds()); }

/// How often something was so.
struct Count {
  int hits = 0, total = 0;
  void add(bool hit) {
    hits += hit ? 1 : 0;
    ++total;
  }
  double share() const { return total == 0 ? 0.0 : static_cast<double>(hits) / total; }
};

/// A row of a table of two columns.
inline void print_row(const char* name, double first, double second) {
  std::printf("  %-28s %10s %12s\n", name, percent(first).c_str(), percent(second).c_str());
}

}  // namespace support
