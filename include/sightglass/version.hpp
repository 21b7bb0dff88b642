#pragma once

/// The one place of the version; CMake reads these three lines.
#define SIGHTGLASS_VERSION_MAJOR 0
#define SIGHTGLASS_VERSION_MINOR 1
#define SIGHTGLASS_VERSION_PATCH 0
