#pragma once

// Compiled once for all tests: LibTorch's headers cost 15 to 25 seconds a file.
#include <torch/torch.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/generated/Functions.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/csrc/jit/ir/alias_analysis.h>
#include <torch/script.h>

#include "support/harness/catch.hpp"
