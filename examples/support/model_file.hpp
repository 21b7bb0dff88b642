#pragma once

#include <c10/util/Exception.h>
#include <torch/script.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "errors.hpp"
#include "files.hpp"

namespace support {

/// Loads a TorchScript file, ready to be explained: on the CPU, in evaluation mode.
/// @throws c10::Error for a missing or damaged file, and for what is no TorchScript.
inline torch::jit::Module load_model(const std::string& path) {
  std::error_code unknown;
  TORCH_CHECK(fs::exists(path, unknown), "model \"", path, "\": no such file");
  TORCH_CHECK(!fs::is_directory(path, unknown), "model \"", path, "\": is a folder; expected a TorchScript file");
  std::string reason;
  try {
    torch::jit::Module model = torch::jit::load(path, torch::kCPU);
    model.eval();
    return model;
  } catch (const std::exception& error) {
    reason = one_line(error);
  }
  C10_THROW_ERROR(Error, c10::str("model \"", path, "\": cannot be loaded as TorchScript (", reason,
                                  "); in Python: torch.jit.script(model.eval()).save(\"model.pt\")"));
}

}  // namespace support
