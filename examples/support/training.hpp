#pragma once

#include <ATen/Parallel.h>
#include <CLI/CLI.hpp>
#include <opencv2/core/utility.hpp>

#include <cstdint>

#include "program.hpp"

// What the programs that train have in common on their command lines.
namespace support {

inline void add_seed_option(CLI::App& app, uint64_t& seed) {
  app.add_option("--seed", seed, "The same seed gives the same results")->type_name("NUMBER")->capture_default_str();
}

inline void add_threads_option(CLI::App& app, int& threads) {
  app.add_option("--threads", threads, "Threads to compute with; 0: as many as LibTorch takes")
      ->type_name("COUNT")
      ->check(quiet(CLI::Range(0, 1024)))
      ->capture_default_str();
}

/// What `--threads` asks for.
inline void use_threads(int threads) {
  if (threads == 0) return;
  at::set_num_threads(threads);
  cv::setNumThreads(threads);
}

}  // namespace support
