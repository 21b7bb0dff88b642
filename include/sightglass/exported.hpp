#pragma once

/// Programs of `torch.export` (`.pt2`), which need nlohmann-json; nothing else of sightglass is needed to run them.

#include "sightglass/exported/exported_program.hpp"
