#pragma once

#include "sightglass/trace/runnable.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string Runnable::remedy() const {
  return "make the member a sightglass::Hooked<...> or put a sightglass::HookPoint beside it";
}

SIGHTGLASS_INLINE std::string one_line(const std::string& message) {
  const size_t traceback = message.rfind("Traceback of TorchScript");
  if (traceback == std::string::npos) return message.substr(0, message.find('\n'));
  // `RuntimeError: ...`, of whatever class; the lines of a traceback are indented, or code.
  size_t start = traceback;
  for (size_t at = message.find("Error: ", traceback); at != std::string::npos; at = message.find("Error: ", at + 1)) {
    const size_t line = message.rfind('\n', at) + 1;
    if (message.substr(line, at - line).find_first_of(" \"'(") != std::string::npos) continue;
    start = line;
    break;
  }
  if (start != traceback) return message.substr(start, message.find('\n', start) - start);
  const size_t last = message.find_last_not_of('\n');
  start = message.rfind('\n', last) + 1;
  return message.substr(start, last + 1 - start);
}

SIGHTGLASS_INLINE void announce(const void* place, Side side, std::vector<at::Tensor>& values) {
  if (Listener* const listener = thread_state().listener) listener->mark(place, side, values);
}

}  // namespace sightglass::detail
