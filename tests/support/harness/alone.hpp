#pragma once

#include <ATen/Parallel.h>

#include <exception>
#include <thread>
#include <utility>

namespace support {

/// Runs `run` on a thread of its own, where nobody watches: calling a watched layer here would be one more call of it.
/// With as many threads as here, since sums are split by them. Returns its result; what it throws is thrown here.
template <class Run>
auto alone(Run&& run) {
  decltype(run()) result{};
  std::exception_ptr thrown;
  std::thread([&, threads = at::get_num_threads()] {
    at::set_num_threads(threads);
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
