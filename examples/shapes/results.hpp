#pragma once

#include <torch/script.h>
#include <opencv2/core.hpp>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "support/drawing.hpp"
#include "support/files.hpp"

namespace support {

/// What `explain` is to know of a network.
struct NetworkNotes {
  std::vector<std::string> labels;
  std::string config;  // the text of the script's `config.txt`; empty: it has none
  std::string method;  // which `explain` is to be given; empty: its own choice
};

/// What `shapes` leaves on disk beside the pictures.
struct Results {
  cv::Mat grid;
  NetworkNotes notes;
  torch::jit::Module script;
  torch::Tensor input;                                               // of the pictures
  std::function<torch::Tensor(const torch::Tensor& input)> forward;  // of the network that the script was made of
};

namespace detail {

/// The trained network as a TorchScript file; says how far its scores are from the network's own.
inline void save_network(const Results& results, const fs::path& path) {
  torch::jit::ExtraFilesMap beside_it;
  if (!results.notes.config.empty()) beside_it["config.txt"] = results.notes.config;
  write_whole(path, [&](const std::string& beside) { results.script.save(beside, beside_it); });
  const torch::NoGradGuard no_gradients;
  torch::jit::Module script = torch::jit::load(path.string());
  const torch::Tensor difference =
      (script.forward({results.input}).toTensor() - results.forward(results.input)).abs().max();
  std::printf("%s: the network as TorchScript; its scores differ by %.1e at most\n", path.c_str(),
              difference.item<double>());
}

/// `07_circle_star.png`
inline std::string picture_name(size_t number, const drawing::Scene& scene) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%02zu", number);
  std::string name = digits;
  for (const drawing::Object& object : scene.objects)
    name += "_" + drawing::class_names()[static_cast<size_t>(object.label)];
  return name + ".png";
}

}  // namespace detail

/// Writes grid, labels, network and pictures, and how `explain` is given them.
inline void write_results(const fs::path& folder, const std::vector<drawing::Scene>& scenes, const Results& results) {
  const fs::path grid = folder / "grid.png", network = folder / "shapes.pt", labels = folder / "labels.txt";
  write_picture(grid, results.grid);
  std::printf("\n%s: %zu held-out pictures and their maps\n", grid.c_str(), scenes.size());

  std::string lines;
  for (const std::string& name : results.notes.labels) lines += name + "\n";
  write_whole(labels, lines);
  detail::save_network(results, network);

  for (size_t i = 0; i < scenes.size(); ++i)
    write_picture(folder / "pictures" / detail::picture_name(i, scenes[i]), scenes[i].picture);
  std::string options;
  if (results.notes.config.empty()) options += " --labels " + labels.string();  // else the network's file has them
  if (!results.notes.method.empty()) options += " --method " + results.notes.method;
  std::printf("try: explain %s %s%s\n", network.c_str(),
              (folder / "pictures" / detail::picture_name(0, scenes.front())).c_str(), options.c_str());
}

}  // namespace support
