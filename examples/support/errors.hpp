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

/// The last line that begins as Python's exceptions print, `ValueError: reason`: where its reason begins; else npos.
inline size_t end_of_exception_name(const std::string& text) {
  for (size_t line = text.rfind('\n'); line != std::string::npos && line > 0; line = text.rfind('\n', line - 1)) {
    const size_t colon = text.find(": ", line);
    if (colon == std::string::npos) continue;
    const std::string name = text.substr(line + 1, colon - line - 1);
    const bool one_word = name.find_first_of(" \n()\"'") == std::string::npos;
    const auto ends_with = [&](const std::string& end) {
      return name.size() >= end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0;
    };
    if (one_word && (ends_with("Error") || ends_with("Exception"))) return colon + 2;
  }
  return std::string::npos;
}

/// What an exception says, on one line: without LibTorch's backtrace and TorchScript's traceback.
inline std::string one_line(const std::exception& error) {
  const auto* from_torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = from_torch != nullptr ? from_torch->what_without_backtrace() : error.what();
  // TorchScript puts the reason last, behind the source lines that led to it.
  const size_t reason = end_of_exception_name(text);
  if (reason != std::string::npos) text.erase(0, reason);
  text.erase(0, text.find_first_not_of(" \t\n"));
  return text.substr(0, text.find('\n'));
}

/// Of a text of LibTorch's that goes on with guesses, the first sentence.
inline std::string first_sentence(const std::string& text) { return text.substr(0, text.find(". ")); }

}  // namespace support
