// The main function of every test program, for Catch2 2 and 3. Compiled without the precompiled
// header: Catch2 2 puts its implementation where CATCH_CONFIG_RUNNER is defined first.
#define CATCH_CONFIG_RUNNER
#include "support/harness/catch.hpp"

#include <ATen/Parallel.h>

int main(int argc, char* argv[]) {
  // Tiny nets: threads cost more than they bring, and ctest runs several programs at a time.
  at::set_num_threads(1);
  return Catch::Session().run(argc, argv);
}
