#pragma once

#include "net.hpp"

/// Runs the network under a guard of the shared library's own; returns what that guard captured.
__attribute__((visibility("default"))) torch::Tensor run_in_plugin(Net net, const torch::Tensor& input);
