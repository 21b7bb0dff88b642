#pragma once

#include <nlohmann/json.hpp>

#include <torch/script.h>

#include <cstdint>
#include <string>
#include <vector>

#include "model_file.hpp"
#include "preparation.hpp"
#include "signature.hpp"

namespace support {

/// What a model's file says of itself beside the model: Ultralytics' exports have a `config.txt`.
struct FileNotes {
  std::string task;                         // "detect", "segment", "classify", ...; empty: the file does not say
  int64_t height = 0, width = 0;            // of the input; 0: the file does not say
  int64_t only_height = 0, only_width = 0;  // of the only input that an exported program takes
  std::vector<std::string> labels;          // of the classes, by number

  /// It gives boxes as one tensor.
  bool has_boxes() const { return task == "detect" || task == "segment"; }
};

/// From the text of `config.txt`; what is no such text says nothing.
inline FileNotes notes_in(const std::string& text) {
  FileNotes notes;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return notes;
  const auto task = json.find("task");
  if (task != json.end() && task->is_string()) notes.task = task->get<std::string>();
  const auto size = json.find("imgsz");
  const auto is_length = [](const nlohmann::json& value) {
    return value.is_number_integer() && value.get<int64_t>() > 0 && value.get<int64_t>() < 10000;
  };
  if (size != json.end() && size->is_array() && size->size() == 2 && is_length((*size)[0]) && is_length((*size)[1])) {
    notes.height = (*size)[0].get<int64_t>();
    notes.width = (*size)[1].get<int64_t>();
  }
  const auto names = json.find("names");
  if (names == json.end() || !names->is_object()) return notes;
  for (size_t i = 0; i < names->size(); ++i) {
    const auto name = names->find(std::to_string(i));
    if (name == names->end() || !name->is_string()) return notes;
    notes.labels.push_back(name->get<std::string>());
  }
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
  FileNotes notes = notes_in(file.config);
  notes.only_height = file.height;
  notes.only_width = file.width;
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
  if (notes.only_height > 0) {
    found.wanted.height = notes.only_height;
    found.wanted.width = notes.only_width;
  }
  if (notes.height == 0) return found;
  found.wanted.height = notes.height;
  found.wanted.width = notes.width;
  as_it_is(notes.task == "classify" ? Fit::crop : Fit::letterbox, "Ultralytics");
  return found;
}

}  // namespace support
