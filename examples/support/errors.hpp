#pragma once

#include <c10/util/Exception.h>

#include <exception>
#include <stdexcept>
#include <string>

namespace support {

/// A command line that cannot be carried out, whatever the files hold: exit status 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What an exception says, on one line: without LibTorch's backtrace and TorchScript's traceback.
inline std::string one_line(const std::exception& error) {
  const auto* from_torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = from_torch != nullptr ? from_torch->what_without_backtrace() : error.what();
  // TorchScript puts the reason last, behind the source lines that led to it.
  const std::string reason = "RuntimeError: ";
  const size_t traceback = text.rfind("\n" + reason);
  if (traceback != std::string::npos) text.erase(0, traceback + 1 + reason.size());
  text.erase(0, text.find_first_not_of(" \t\n"));
  return text.substr(0, text.find('\n'));
}

}  // namespace support
