#pragma once

#include <nlohmann/json.hpp>

#include <sightglass/model/model.hpp>
#include <torch/script.h>

#include <cstdint>
#include <exception>
#include <string>
#include <vector>

#include "model_file.hpp"
#include "preparation.hpp"
#include "signature.hpp"

namespace support {

/// What a model's file says of itself beside the model: Ultralytics' exports have a `config.txt`.
struct FileNotes {
  std::string task;                               // "detect", "segment", "classify", ...; empty: the file does not say
  int64_t height = 0, width = 0;                  // of the input; 0: the file does not say
  int64_t example_height = 0, example_width = 0;  // of the picture that a program was exported with
  std::string picture;                            // the input that took it; empty: the file does not say
  std::vector<int64_t> shape;       // of the input, [N, C, H, W], where the file tells it so, as YOLOv5's exports do
  std::vector<std::string> labels;  // of the classes, by number

  /// It gives boxes as one tensor.
  bool has_boxes() const { return task == "detect" || task == "segment"; }
};

namespace detail {

/// The lengths that a list tells; none where it is no such list.
inline std::vector<int64_t> lengths_in(const nlohmann::json& notes, const char* key, size_t count) {
  const auto list = notes.find(key);
  if (list == notes.end() || !list->is_array() || list->size() != count) return {};
  std::vector<int64_t> lengths;
  for (const nlohmann::json& value : *list) {
    if (!value.is_number_integer() || value.get<int64_t>() <= 0 || value.get<int64_t>() >= 10000) return {};
    lengths.push_back(value.get<int64_t>());
  }
  return lengths;
}

/// By number: a dictionary, or, of older exports, a list.
inline std::vector<std::string> names_in(const nlohmann::json& notes) {
  const auto names = notes.find("names");
  if (names == notes.end() || !(names->is_object() || names->is_array())) return {};
  std::vector<std::string> labels;
  for (size_t i = 0; i < names->size(); ++i) {
    const auto name =
        names->is_array() ? names->begin() + static_cast<std::ptrdiff_t>(i) : names->find(std::to_string(i));
    if (name == names->end() || !name->is_string()) return labels;
    labels.push_back(name->get<std::string>());
  }
  return labels;
}

/// Whether a model gives boxes of the file's classes, objectness before them: found out by a run on a black picture.
inline bool gives_boxes(const torch::jit::Module& model, const FileNotes& notes) {
  try {
    const torch::NoGradGuard no_gradients;
    const torch::Tensor output = sightglass::Model(model).forward(torch::zeros(notes.shape, type_of(model)));
    return output.dim() == 3 && output.size(2) >= 5 + static_cast<int64_t>(notes.labels.size());
  } catch (const std::exception&) {
    return false;  // it is told when a picture is explained
  }
}

}  // namespace detail

/// From the text of `config.txt`; what is no such text says nothing.
inline FileNotes notes_in(const std::string& text) {
  FileNotes notes;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return notes;
  const auto task = json.find("task");
  if (task != json.end() && task->is_string()) notes.task = task->get<std::string>();
  const std::vector<int64_t> size = detail::lengths_in(json, "imgsz", 2);
  if (!size.empty()) {
    notes.height = size[0];
    notes.width = size[1];
  }
  notes.shape = detail::lengths_in(json, "shape", 4);
  notes.labels = detail::names_in(json);
  return notes;
}

/// The same of a model's file, and the task where the text lacks it: YOLOv5's exports of whatever task tell the input's
/// shape and the classes alone.
inline FileNotes notes_of(const torch::jit::Module& model, const std::string& text) {
  FileNotes notes = notes_in(text);
  if (!notes.task.empty() || notes.shape.empty() || notes.labels.empty() || !detail::gives_boxes(model, notes))
    return notes;
  notes.task = "detect";
  notes.height = notes.shape[2];
  notes.width = notes.shape[3];
  return notes;
}

/// Whether `forward` is that of torchvision's scripted detectors: a list of pictures in, and for each of them a
/// dictionary out, behind the losses of training.
inline bool is_torchvision_detector(const torch::jit::Module& model) {
  const c10::FunctionSchema& schema = model.get_method("forward").function().getSchema();
  if (schema.arguments().size() < 2 || schema.returns().size() != 1) return false;
  const auto given = schema.returns()[0].type()->cast<c10::TupleType>();
  return detail::is_list_of(schema.arguments()[1].type(), c10::TypeKind::TensorType) && given != nullptr &&
         given->elements().size() == 2 && detail::is_list_of(given->elements()[1], c10::TypeKind::DictType);
}

inline FileNotes notes_in(const ModelFile& file) {
  FileNotes notes = notes_of(file.module, file.config);
  notes.example_height = file.height;
  notes.example_width = file.width;
  notes.picture = file.picture;
  return notes;
}

/// How a model's file says that pictures are prepared, and after whom.
struct FilePreparation {
  Preparation wanted;
  std::string source;  // empty: it says nothing
};

inline FilePreparation preparation_in(const torch::jit::Module& model, const FileNotes& notes) {
  FilePreparation found;
  const auto as_it_is = [&](Fit fit, const char* source) {
    found.wanted.fit = fit;
    found.wanted.mean = {0};
    found.wanted.std = {1};
    found.source = source;
  };
  if (is_torchvision_detector(model)) as_it_is(Fit::own_size, "torchvision's detectors");
  if (notes.example_height > 0) {
    found.wanted.height = notes.example_height;
    found.wanted.width = notes.example_width;
  }
  if (notes.height == 0) return found;
  found.wanted.height = notes.height;
  found.wanted.width = notes.width;
  as_it_is(notes.task == "classify" ? Fit::crop : Fit::letterbox, "Ultralytics");
  return found;
}

}  // namespace support
