#pragma once

#include <sightglass/trace/tracker.hpp>

namespace support {

/// True where nobody listens on this thread, and nobody is watched.
inline bool quiet() {
  return sightglass::detail::thread_state().listener == nullptr && sightglass::detail::Tracker::of_thread()->idle();
}

}  // namespace support
