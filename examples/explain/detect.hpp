#pragma once

#include <sightglass/sightglass.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "support/detector_file.hpp"
#include "support/errors.hpp"
#include "support/figures.hpp"
#include "support/labels.hpp"

namespace support {

/// A detector: how it is given a picture, what it finds, and at which layers that is explained.
class Detector {
 public:
  /// None where neither the file nor the task says that it is one.
  /// @param model as it is given for other tasks
  static std::optional<Detector> of(const torch::jit::Module& script, const sightglass::Model& model,
                                    const FileNotes& notes, Task task, double score) {
    const bool is_one =
        task == Task::detect || (task == Task::unknown && (notes.has_boxes() || is_torchvision_detector(script)));
    return is_one ? std::optional<Detector>(Detector(script, model, notes, score)) : std::nullopt;
  }

  /// Of torchvision's detectors, what they found as `[1, K, 6]`: `sightglass::BoxLayout::suppressed`.
  const sightglass::Model& model() const { return model_; }

  /// So many of the things found are told of and explained, those of the highest scores.
  static constexpr size_t most = 10;

  /// What it found in one picture, highest score first.
  /// @param output of `model()`
  /// Throws `UsageError` where it is not laid out as a detector's.
  std::vector<sightglass::Detection> found_in(const torch::Tensor& output) const {
    if (suppresses_itself_) return sightglass::detections(output, sightglass::BoxLayout::suppressed, 0, options_);
    if (output.dim() != 3)
      throw UsageError(c10::str("--task detect: the model gives ", output.sizes(),
                                ", expected boxes, [N, 4 + classes, ",
                                "boxes] or [N, boxes, 5 + classes]; --output names another output"));
    const int64_t rows = output.size(1), columns = output.size(2);
    const auto classes = static_cast<int64_t>(notes_.labels.size());
    const bool is_suppressed = columns == 6 || (classes > 0 && rows > columns && columns < 5 + classes);
    sightglass::DetectionOptions options = options_;
    if (classes > 0 && rows < columns && rows > 4 + classes) options.mask_columns(rows - 4 - classes);
    if (is_suppressed && columns > 6) options.mask_columns(columns - 6);
    return sightglass::detections(output,
                                  is_suppressed    ? sightglass::BoxLayout::suppressed
                                  : rows < columns ? sightglass::BoxLayout::class_columns
                                                   : sightglass::BoxLayout::with_objectness,
                                  0, options);
  }

  /// The layers at which it is explained: the maps that its boxes are made of.
  std::vector<sightglass::Layer> levels(const torch::Tensor& input) const {
    return suppresses_itself_ ? outputs_of_backbone(input) : last_blocks(input);
  }

  std::string overview(const std::vector<sightglass::Detection>& found, const Labels& labels) const {
    if (found.empty()) {
      char text[64];
      std::snprintf(text, sizeof text, "  nothing found with a score of %g or more", options_.score());
      return text;
    }
    std::string lines;
    for (size_t i = 0; i < found.size() && i < most; ++i)
      lines +=
          (i == 0 ? "  " : "\n  ") + figures_text(found[i].score, std::nullopt) + " " + labels.title(found[i].label);
    return found.size() > most ? lines + "\n  and " + std::to_string(found.size() - most) + " more" : lines;
  }

 private:
  Detector(const torch::jit::Module& script, const sightglass::Model& model, FileNotes notes, double score)
      : suppresses_itself_(is_torchvision_detector(script)),
        notes_(std::move(notes)),
        options_(sightglass::DetectionOptions().score(score)),
        model_(suppresses_itself_ ? sightglass::Model(script).output(boxes_of) : model) {}

  /// What torchvision's detectors give for the only picture.
  static c10::Dict<c10::IValue, c10::IValue> dictionary_in(const c10::IValue& values) {
    const c10::List<c10::IValue> pictures = values.toTupleRef().elements()[1].toList();
    TORCH_CHECK(pictures.size() == 1,
                "the model finds things in one picture after the other: use no method that runs "
                "it on many");
    return pictures.get(0).toGenericDict();
  }

  static torch::Tensor boxes_of(const c10::IValue& values) {
    const c10::Dict<c10::IValue, c10::IValue> found = dictionary_in(values);
    const torch::Tensor boxes = found.at("boxes").toTensor();
    const auto column = [&](const char* key) { return found.at(key).toTensor().to(boxes.dtype()).unsqueeze(1); };
    return torch::cat({boxes, column("scores"), column("labels")}, 1).unsqueeze(0);
  }

  std::vector<sightglass::Layer> outputs_of_backbone(const torch::Tensor& input) const {
    const torch::NoGradGuard no_gradients;
    const sightglass::Layer backbone = model_.layer("backbone");
    const sightglass::Capture seen(backbone);
    model_.values(input);
    const std::vector<std::string> keys = seen.keys();
    std::vector<sightglass::Layer> layers;
    for (size_t i = 0; i < seen.outputs().size(); ++i)
      if (seen.output(i).dim() == 4) layers.push_back(keys.empty() ? backbone : backbone.output(keys[i]));
    TORCH_CHECK(!layers.empty(), "model: its backbone gives no maps; name a layer by --layer");
    return layers;
  }

  /// A block of a network that is a list of blocks: `model.12`.
  static bool is_numbered(const std::string& name) {
    const size_t dot = name.rfind('.') + 1;  // 0 without a dot
    const bool number = name.find_first_not_of("0123456789", dot) == std::string::npos && dot < name.size();
    return number && std::count(name.begin(), name.end(), '.') <= 1;
  }

  /// Of each size of map the last block, from the smallest map on until there are as many places as boxes; else the
  /// layer that is suggested.
  std::vector<sightglass::Layer> last_blocks(const torch::Tensor& input) const {
    int64_t boxes = 0;
    std::map<int64_t, std::string> last;  // by places
    for (const sightglass::LayerInfo& layer : sightglass::layers(model_, input)) {
      if (!is_numbered(layer.name)) continue;
      if (layer.shape.size() == 3) boxes = std::max(layer.shape[1], layer.shape[2]);
      if (layer.shape.size() == 4) last[layer.shape[2] * layer.shape[3]] = layer.name;
    }
    std::vector<sightglass::Layer> layers;
    int64_t places = 0;
    for (auto level = last.begin(); level != last.end() && places < boxes; ++level) {
      places += level->first;
      layers.push_back(model_.layer(level->second));
    }
    if (places > 0 && places == boxes) return layers;
    if (!notes_.has_boxes() || last.size() < 3) return {model_.layer(sightglass::suggest(model_, input).layer)};
    layers.clear();  // boxes that were chosen from all places; Ultralytics' are of the three smallest maps
    for (auto level = last.begin(); layers.size() < 3; ++level) layers.push_back(model_.layer(level->second));
    return layers;
  }

  bool suppresses_itself_;
  FileNotes notes_;
  sightglass::DetectionOptions options_;
  sightglass::Model model_;
};

}  // namespace support
