#pragma once

#include <CLI/CLI.hpp>

#include <cstdint>
#include <memory>
#include <string>

#include "support/program.hpp"
#include "support/training.hpp"

namespace support {

/// What the command line of `shapes` asks for.
struct ShapesOptions {
  std::string out = "shapes";
  bool detect = false;
  bool segment = false;
  uint64_t seed = 1;
  int epochs = 0;  // 0: as many as the task is usually given
  int pictures = 1000;
  int threads = 0;

  int epochs_or(int usual) const { return epochs > 0 ? epochs : usual; }
};

/// The command line that fills `options`.
inline std::unique_ptr<CLI::App> shapes_command_line(ShapesOptions& options) {
  auto app = std::make_unique<CLI::App>(
      "Trains a small network on pictures that it draws itself, and shows what its decisions rest on.\n"
      "Writes FOLDER/grid.png, FOLDER/shapes.pt (TorchScript, for explain), FOLDER/labels.txt and\n"
      "FOLDER/pictures/.",
      "shapes");
  app->add_option("--out", options.out, "Folder to write to")->type_name("FOLDER")->capture_default_str();
  auto* const detect =
      app->add_flag("--detect", options.detect, "Train a detector, on pictures of two to four objects");
  app->add_flag("--segment", options.segment, "Train a segmenter, on the same pictures")->excludes(detect);
  app->add_option("--epochs", options.epochs, "Times that the network sees its pictures [42; with --segment 28]")
      ->type_name("COUNT")
      ->check(quiet(CLI::Range(1, 1000)));
  app->add_option("--pictures", options.pictures, "Pictures that an epoch has")
      ->type_name("COUNT")
      ->check(quiet(CLI::Range(32, 20000)))
      ->capture_default_str();
  add_threads_option(*app, options.threads);
  add_seed_option(*app, options.seed);
  return app;
}

}  // namespace support
