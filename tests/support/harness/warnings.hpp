#pragma once

#include <c10/util/Exception.h>
#include <torch/version.h>

#include <string>

namespace support {

/// What LibTorch warns of while it lives.
class Warnings final : public c10::WarningHandler {
 public:
#if TORCH_VERSION_MAJOR >= 2
  void process(const c10::Warning& warning) override { text_ += warning.msg() + "\n"; }
#else
  void process(const c10::SourceLocation& /*where*/, const std::string& message, const bool /*verbatim*/) override {
    text_ += message + "\n";
  }
#endif
  const std::string& text() const { return text_; }

 private:
#if TORCH_VERSION_MAJOR >= 2
  c10::WarningUtils::WarningHandlerGuard guard_{this};
#else
  c10::Warning::WarningHandlerGuard guard_{this};
#endif
  std::string text_;
};

}  // namespace support
