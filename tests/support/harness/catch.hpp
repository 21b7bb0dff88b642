#pragma once

/// One include for Catch2 2.13 (Debian 12) and 3.x (Debian 13, Ubuntu 24.04).
/// `Approx` and Catch2 3's names of the matchers are there with both.

// LibTorch's logging has a CHECK of its own; tests mean Catch2's.
#include <c10/util/Logging.h>
#undef CHECK

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
namespace Catch {
using Detail::Approx;
namespace Matchers {
inline auto ContainsSubstring(const std::string& text) { return Contains(text); }
}  // namespace Matchers
}  // namespace Catch
#endif

#include <iostream>
#include <string>

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

namespace support {

/// Says loudly that the running test did not run, and why. `tests/run` repeats these lines.
inline void print_skipped(const std::string& reason) {
  std::cerr << "SKIPPED: " << Catch::getResultCapture().getCurrentTestName() << ": " << reason << std::endl;
}

/// The folder of references and photographs: $SIGHTGLASS_SHARED_DIR, or `shared` beside the
/// checkout. No slash at its end; it may be absent.
std::string shared_dir();

}  // namespace support

/// Leaves the test here, loudly: for a test that cannot run (no data, no GPU, no package).
#define SKIPPED(reason)               \
  do {                                \
    ::support::print_skipped(reason); \
    return;                           \
  } while (false)
