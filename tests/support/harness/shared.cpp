#include <cstdlib>

#include "support/harness/catch.hpp"

std::string support::shared_dir() {
  const char* folder = std::getenv("SIGHTGLASS_SHARED_DIR");
  return folder != nullptr ? folder : SIGHTGLASS_SHARED_DIR;
}
