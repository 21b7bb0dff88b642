#pragma once

#include "sightglass/trace/runnable.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string Runnable::remedy() const {
  return "make the member a sightglass::Hooked<...> or put a sightglass::HookPoint beside it";
}

SIGHTGLASS_INLINE std::string one_line(const std::string& message) {
  const size_t last = message.find_last_not_of('\n');
  const size_t traceback = message.find("Traceback of TorchScript");
  if (traceback == std::string::npos || last == std::string::npos) return message.substr(0, message.find('\n'));
  const size_t start = message.rfind('\n', last);
  return message.substr(start == std::string::npos ? 0 : start + 1, last - start);
}

SIGHTGLASS_INLINE void announce(const void* place, Side side, std::vector<at::Tensor>& values) {
  if (Listener* const listener = state().listener) listener->mark(place, side, values);
}

}  // namespace sightglass::detail
