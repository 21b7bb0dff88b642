#pragma once

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <regex>
#include <string>
#include <utility>
#include <vector>

namespace support {

/// Keeps what the library and LibTorch warn of in this thread while it lives, a line each, to be told as the program's
/// own warnings.
class Warnings final : public c10::WarningHandler {
 public:
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning& warning) override { keep(warning.msg()); }
#else
  void process(const c10::SourceLocation& /*where*/, const std::string& message, const bool /*verbatim*/) override {
    keep(message);
  }
#endif

  /// Those since the last call.
  std::vector<std::string> taken() { return std::exchange(lines_, {}); }

 private:
  /// Of the remedies that the library names, those that are options of the program in its own words.
  void keep(const std::string& message) {
    static const std::regex range(R"(ImageOptions\(\)\.range\(([^,]+), ([^)]+)\))");
    static const std::string not_optimised = "sightglass: the model is not optimised";  // nobody asked for it here
    if (message.compare(0, not_optimised.size(), not_optimised) == 0) return;
    lines_.push_back(std::regex_replace(message.substr(0, message.find('\n')), range, "--range $1,$2"));
  }

  std::vector<std::string> lines_;
#if TORCH_VERSION_MAJOR >= 2
  c10::WarningUtils::WarningHandlerGuard guard_{this};
#else
  c10::Warning::WarningHandlerGuard guard_{this};
#endif
};

}  // namespace support
