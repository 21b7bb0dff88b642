#pragma once

// Compiled once for all tests: LibTorch's headers cost 15 to 25 seconds a file.
#include <torch/torch.h>
#include <torch/script.h>

#include "support/catch.hpp"
