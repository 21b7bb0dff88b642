#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>

namespace sightglass {

/// How methods that run the model many times do it.
struct Runs {
  /// Most images a run; 0: chosen such that what is changed for each takes at most 10 MB, 3 MB where all of the model
  /// runs on the CPU.
  int64_t max_batch = 0;
  /// Told after each run how many of all images (steps, where a method goes by steps) are done. `false` stops: a
  /// method then gives the map of what has been run, a metric throws `Cancelled`.
  std::function<bool(int64_t done, int64_t all)> progress = {};
};

/// Thrown by a metric when `Runs::progress` returned false.
class Cancelled : public std::runtime_error {
 public:
  Cancelled() : std::runtime_error("cancelled by the caller's progress function") {}
};

}  // namespace sightglass
