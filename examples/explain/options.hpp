#pragma once

#include <CLI/CLI.hpp>
#include <sightglass/opencv/colour_map.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "preparation_options.hpp"
#include "support/figures.hpp"
#include "support/program.hpp"

namespace support {

/// What the command line of `explain` asks for.
struct Options {
  std::string model;
  std::vector<std::string> inputs;
  std::vector<std::string> layers;   // empty: the suggested one
  std::vector<std::string> methods;  // empty: "grad-cam", of segmenters and detectors "layer-cam"
  std::vector<std::string> targets;  // empty: the prediction
  std::vector<std::string> further;  // NAME=FILE: the model's inputs beside the picture
  std::optional<size_t> call;        // of a layer that runs several times, from 0
  std::string output;                // the path of the output to explain; empty: the first
  std::string labels;
  std::string task;
  double score = 0.25;  // of a detector: what it finds with less is left out
  PreparationOptions pictures;
  std::string colour_map = "magma";
  double alpha = 0.6;
  std::string out;
  std::string raw;
  bool json = false;
  bool resume = false;
  bool list_layers = false;
  bool list_methods = false;
};

namespace detail {

constexpr const char* description =
    R"(Shows what in a picture a network's decision rests on.

Runs a TorchScript model on pictures, explains its prediction (or the classes you name)
by a map over the picture, and writes each picture with the map drawn over it.)";

constexpr const char* footer =
    R"(Files written
  Without --out, cat.jpg gives cat_explained.png in the current folder. Several layers,
  methods or targets give one picture, a grid. No input is ever written over; a file is
  written whole or not at all.

Many pictures
  Are explained several at once, one on each processor (OMP_NUM_THREADS=1: one after the other),
  and told in their order. Ctrl-C ends once those under way are written; the same command with
  --resume leaves out what has its picture already.

Pictures
  Are brought to --size bilinearly, with antialias, as torchvision does it, and normalised as
  --mean and --std say; without them as for ImageNet. The model's first convolution tells
  whether they are grey or RGB. With --fit crop the map lies on the middle that the model is
  shown, with letterbox the bars are cut off it.

Probabilities
  None is made up. Outputs that are probabilities (they lie in 0 to 1 and sum to 1) are shown
  as they are, those that are their logarithms by their exponentials. Of all other outputs
  only the score is shown, unless --task tells what they are: classify takes their softmax,
  multi-label and binary their sigmoid where the model does not end in one. Labels alone do
  not tell: classes that exclude each other and those that do not have names alike.

--json
  One object a line on standard output for each image, layer, method and target: image,
  layer, method, target, label, score, probability, peak ([x, y], pixels of the picture as
  shown), status, map (the --raw file), picture; index as well for an array of several,
  call where the layer runs several times, and pixels for a segmenter: how many places of its
  output the map is of.
  probability is null where there is none, label where it has no name.
  Where status is not "ok" the map is blank, or not to be trusted, and so is its peak.

Arrays
  An input may be a .npy file: float32, normalised already, with any number of channels. It is
  used as it is: [C, H, W] or [N, C, H, W] for pictures, [C, L] or [N, C, L] for series,
  [C, D, H, W] or [N, C, D, H, W] for volumes and videos; the model's first convolution tells
  which. Pictures are drawn as their first three channels, or one; series as curves; volumes
  as slices through the map's peak and a projection; videos (three channels) as frames. The
  peak of a series is [x], of a volume [x, y, z]. A model that folds the frames of a video
  into its batch takes [1, T, C, H, W], and each frame gets its map.

Segmentation
  An output [N, classes, H, W] is explained for the class that is predicted at most places, the
  background (0) left out where there is another, or for --target: the target is the sum of the
  class's scores where the prediction is that class. The region is drawn beside the map. The
  layer is the end of the encoder, unless --layer names another, the method layer-cam, unless
  --method does: grad-cam marks the other objects of a picture too.

Detection
  Of a detector each thing that it finds gets a map of its own, ten at most, with its box; --target
  asks for those of a class. Known are the layouts that Ultralytics' exports have, and torchvision's
  scripted detectors. The method is layer-cam, at the layers that the boxes are made of, each map
  by its peak and the greatest of them, at the input's size, unless --layer names others. JSON has
  box ([x0, y0, x1, y1], pixels of the picture as shown) and inside, the share of the map in it;
  where nothing is found, status nothing_found.

Models of several inputs and outputs
  The picture is what forward takes first, of those that --input does not name; a list gets it
  as its only element. --input table=row.npy gives forward's argument "table" a float32 array,
  with its batch: [1, ...] goes with every picture; --input other=two.jpg a picture.
  A layer that runs several times in a forward pass (the encoder of a siamese network, a shared
  ReLU) is explained at its last run, of several inputs at the last that sees the picture, or at
  the one that --call names, from 0. What sees another input than the picture is explained and
  drawn for that array.
  Of lists, tuples and dictionaries the first floating-point tensor is explained, or the one
  that --output names.

Exit status
  0  all went well
  1  a file could not be read, explained or written; all others were done
  2  the command line asks for something that there is not
  130  interrupted

Examples
  explain model.pt cat.jpg
  explain model.pt photos/ --labels classes.txt --task classify --out explained/
  explain model.pt cat.jpg --labels classes.txt --target "tabby" --target 242
  explain model.pt cat.jpg --layer features.7,features.12 --method cam,grad-cam
  explain model.pt scan.npy --raw map.npy --json
  explain model.pt cat.jpg --input table=row.npy --output logits
  explain siamese.pt one.jpg --input other=two.jpg --layer encoder --call 1
  explain model.pt --list-layers)";

inline std::string names_of_maps() {
  std::string names;
  for (const std::string& name : sightglass::colour_map_names()) names += (names.empty() ? "" : ", ") + name;
  return names;
}

}  // namespace detail

/// The command line that fills `options`.
inline std::unique_ptr<CLI::App> command_line(Options& options) {
  auto app = std::make_unique<CLI::App>(detail::description, "explain");
  app->footer(detail::footer);
  app->get_formatter()->column_width(30);
  app->add_option("MODEL", options.model,
                  "TorchScript file, as torch.jit.script or trace saves it, or exported program (.pt2)")
      ->type_name("");
  app->add_option("IMAGE", options.inputs, "Pictures, folders of pictures, or .npy arrays")->type_name("");
  app->add_option("--layer", options.layers,
                  "Layers, by their path in the model [the last spatial one; of a segmenter the encoder's last]")
      ->type_name("PATH[,PATH]")
      ->delimiter(',');
  app->add_option("--call", options.call,
                  "Of a layer that runs several times, which run, from 0\n"
                  "[the last, of several inputs the last that sees the picture]")
      ->type_name("N")
      ->check(quiet(CLI::NonNegativeNumber));
  app->add_option("--method", options.methods,
                  "Methods, see --list-methods [grad-cam; of segmenters and detectors layer-cam]")
      ->type_name("NAME[,NAME]")
      ->delimiter(',');
  app->add_option("--target", options.targets, "Class to explain; may be repeated [the prediction]")
      ->type_name("INDEX|LABEL");
  app->add_option("--labels", options.labels, "The classes' names, one a line")->type_name("FILE");
  add_task_option(*app, options.task, Serves::places);
  app->add_option("--score", options.score, "What a detector finds with a lower score is left out")
      ->type_name("SCORE")
      ->check(quiet(CLI::Range(0.0, 1.0)))
      ->capture_default_str();
  app->add_option("--input", options.further,
                  "An input of the model beside the picture, by its name in forward: a .npy array, or a\n"
                  "picture, prepared alike; may be repeated")
      ->type_name("NAME=FILE");
  app->add_option("--output", options.output,
                  "Which output to explain: a key, a number or both, such as out, 1, boxes.0\n"
                  "[the first]")
      ->type_name("PATH");
  add_preparation_options(*app, options.pictures);
  app->add_option("--colour-map", options.colour_map, "How values become colours, one of:\n" + detail::names_of_maps())
      ->type_name("NAME")
      ->check(quiet(CLI::IsMember(sightglass::colour_map_names())))
      ->capture_default_str();
  app->add_option("--alpha", options.alpha, "The map's weight over the picture, 0 to 1")
      ->type_name("SHARE")
      ->check(quiet(CLI::Range(0.0, 1.0)))
      ->capture_default_str();
  app->add_option("--out", options.out, "Picture to write, or the folder for several")->type_name("FILE|FOLDER");
  app->add_option("--raw", options.raw,
                  "Write the maps as the method gives them: float32, [1, h, w], [1, l] or [1, d, h, w]")
      ->type_name("FILE.npy|FOLDER");
  app->add_flag("--json", options.json, "Print the results as JSON lines, and nothing else");
  app->add_flag("--resume", options.resume, "Leave out the files whose picture is there already");
  app->add_flag("--list-layers", options.list_layers, "List the layers with the shapes of their outputs");
  app->add_flag("--list-methods", options.list_methods, "List the methods");
  // Each takes the one word after it; the next is a picture again.
  for (const char* name : {"--layer", "--method", "--target", "--input"})
    app->get_option(name)->allow_extra_args(false);
  return app;
}

/// What the parser cannot tell by itself: the words that may only be left out where a list is asked for.
/// Throws `CLI::ParseError` for a missing one, `UsageError` for a wrong preparation or task.
inline void check_complete(const Options& options) {
  options.pictures.preparation();
  task_called(options.task, Serves::places);
  if (options.list_methods) return;
  if (options.model.empty()) throw CLI::RequiredError("MODEL");
  if (options.inputs.empty() && !options.list_layers) throw CLI::RequiredError("IMAGE");
}

}  // namespace support
