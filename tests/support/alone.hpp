#pragma once

#include <exception>
#include <thread>
#include <utility>

namespace support {

/// Runs `run` on a thread of its own, where nobody watches: calling a watched layer here would be one more call of it.
/// Returns its result; what it throws is thrown here.
template <class Run>
auto alone(Run&& run) {
  decltype(run()) result{};
  std::exception_ptr thrown;
  std::thread([&] {
    try {
      result = run();
    } catch (...) {
      thrown = std::current_exception();
    }
  }).join();
  if (thrown) std::rethrow_exception(thrown);
  return result;
}

}  // namespace support
