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

  /// Finds out what the file does not say and an input shows; once. Where it tells no classes, the masks' prototypes
  /// beside the boxes, `[N, M, H, W]`, tell how many columns are no classes but weights of masks.
  void look_at(const torch::Tensor& input) {
    if (std::exchange(has_looked_, true) || suppresses_itself_ || !notes_.labels.empty()) return;
    const torch::NoGradGuard no_gradients;
    const c10::IValue values = model_.values(input);
    if (!values.isTuple()) return;
    std::vector<int64_t> maps;
    for (const c10::IValue& value : values.toTupleRef().elements())
      if (value.isTensor() && value.toTensor().dim() == 4) maps.push_back(value.toTensor().size(1));
    if (maps.size() == 1) prototypes_ = maps.front();
  }

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
    const sightglass::BoxLayout layout = layout_of(output);
    sightglass::DetectionOptions options = options_;
    if (layout == sightglass::BoxLayout::with_objectness) options.overlap(0.45);  // as YOLOv5 and v7 suppress
    const int64_t masks = mask_columns(output, layout);
    if (masks > 0) options.mask_columns(masks);
    return sightglass::detections(output, layout, 0, options);
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

  /// Behind the score, boxes with nothing left to suppress have the number of their class, whole in each of them, where
  /// others have probabilities.
  static sightglass::BoxLayout layout_of(const torch::Tensor& output) {
    const int64_t rows = output.size(1), columns = output.size(2);
    if (columns == 6 || (columns > 6 && rows > columns)) {
      const torch::Tensor numbers = output.select(2, 5);
      if (numbers.eq(numbers.round()).all().item<bool>()) return sightglass::BoxLayout::suppressed;
    }
    return rows < columns ? sightglass::BoxLayout::class_columns : sightglass::BoxLayout::with_objectness;
  }

  /// How many columns stand behind the classes that the file tells of.
  int64_t mask_columns(const torch::Tensor& output, sightglass::BoxLayout layout) const {
    if (layout == sightglass::BoxLayout::suppressed) return output.size(2) - 6;
    const int64_t columns = layout == sightglass::BoxLayout::class_columns ? output.size(1) - 4 : output.size(2) - 5;
    const auto classes = static_cast<int64_t>(notes_.labels.size());
    return classes > 0 ? columns - classes : prototypes_ < columns ? prototypes_ : 0;
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

  static int64_t boxes_of_table(const std::vector<int64_t>& shape) { return std::max(shape[1], shape[2]); }

  /// As far as the shape tells: too few columns for box, objectness and all classes.
  bool may_be_suppressed(const std::vector<int64_t>& shape) const {
    return shape[2] < 5 + std::max<int64_t>(2, static_cast<int64_t>(notes_.labels.size()));
  }

  /// A block of a network that is a list of blocks, `model.12`, or of one within others, `model.model.12`.
  static bool is_numbered(const std::string& name) {
    const size_t dot = name.rfind('.') + 1;  // 0 without a dot
    return name.find_first_not_of("0123456789", dot) == std::string::npos && dot < name.size();
  }

  /// The blocks that stand in no other block, in the order of the list.
  std::vector<sightglass::LayerInfo> blocks(const torch::Tensor& input) const {
    const auto depth = [](const sightglass::LayerInfo& layer) {
      return std::count(layer.name.begin(), layer.name.end(), '.');
    };
    std::vector<sightglass::LayerInfo> all;
    for (sightglass::LayerInfo& layer : sightglass::layers(model_, input)) {
      if (!is_numbered(layer.name) || (!all.empty() && depth(layer) > depth(all.front()))) continue;
      if (!all.empty() && depth(layer) < depth(all.front())) all.clear();
      all.push_back(std::move(layer));
    }
    return all;
  }

  /// Of each size of map the last block, from the smallest map on until there are as many places as boxes, or as many
  /// at each place; else the layer that is suggested.
  std::vector<sightglass::Layer> last_blocks(const torch::Tensor& input) const {
    constexpr int64_t most_at_a_place = 9;  // RetinaNet's
    std::vector<int64_t> table;             // of boxes
    std::map<int64_t, std::string> last;    // by places
    for (const sightglass::LayerInfo& layer : blocks(input)) {
      if (layer.shape.size() == 3 && (table.empty() || boxes_of_table(layer.shape) > boxes_of_table(table)))
        table = layer.shape;
      if (layer.shape.size() == 4) last[layer.shape[2] * layer.shape[3]] = layer.name;
    }
    const int64_t boxes = table.empty() ? 0 : boxes_of_table(table);
    // 300 boxes that were chosen from all places may be as many as a level or two have, and not as three have.
    const size_t fewest = boxes > 0 && may_be_suppressed(table) ? 3 : 1;
    std::vector<sightglass::Layer> layers;
    int64_t places = 0;
    for (auto level = last.begin(); level != last.end() && places < boxes; ++level) {
      places += level->first;
      layers.push_back(model_.layer(level->second));
      if (layers.size() >= fewest && boxes % places == 0 && boxes / places <= most_at_a_place) return layers;
    }
    if (!notes_.has_boxes() || last.size() < 3) return {model_.layer(sightglass::suggest(model_, input).layer)};
    layers.clear();  // boxes that were chosen from all places; Ultralytics' are of the three smallest maps
    for (auto level = last.begin(); layers.size() < 3; ++level) layers.push_back(model_.layer(level->second));
    return layers;
  }

  bool suppresses_itself_;
  FileNotes notes_;
  sightglass::DetectionOptions options_;
  sightglass::Model model_;
  bool has_looked_ = false;
  int64_t prototypes_ = 0;  // of masks; 0: none
};

}  // namespace support
