// shapes: trains a small network on pictures that it draws itself, and shows what its decisions rest on. As the places
// of the objects are known, it can also tell how often a map points at them. `shapes --help` tells the options.

#include <torch/types.h>
#include <opencv2/core.hpp>

#include <cstdint>

#include "classifier.hpp"
#include "detector.hpp"
#include "options.hpp"
#include "segmenter.hpp"
#include "support/program.hpp"
#include "support/training.hpp"

namespace {

void run(const support::ShapesOptions& options) {
  support::use_threads(options.threads);
  torch::manual_seed(options.seed);
  cv::RNG held_out(options.seed + (uint64_t{1} << 32));  // pictures that no training of a small seed has seen
  if (options.detect)
    support::run_detector(options, held_out);
  else if (options.segment)
    support::run_segmenter(options, held_out);
  else
    support::run_classifier(options, held_out);
}

}  // namespace

int main(int argc, char** argv) {
  support::ShapesOptions options;
  const auto command_line = support::shapes_command_line(options);
  return support::run_program("shapes", *command_line, argc, argv, [&] {
    run(options);
    return support::all_well;
  });
}
