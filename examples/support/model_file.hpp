#pragma once

#include <c10/util/Exception.h>
#include <sightglass/exported.hpp>
#include <sightglass/model/torchvision_operators.hpp>
#include <sightglass/weights/file_kind.hpp>
#include <sightglass/weights/saved_module.hpp>
#include <torch/script.h>
#include <torch/version.h>

#include <algorithm>
#include <exception>
#include <filesystem>
#include <string>
#include <system_error>

#include "errors.hpp"
#include "files.hpp"

namespace support {

/// A model, ready to be explained, and what its file says beside it.
struct ModelFile {
  torch::jit::Module module;
  std::string config = {};        ///< the text of its `config.txt`
  int64_t height = 0, width = 0;  ///< of the pictures that it was exported with; 0: it does not say
  std::string picture = {};       ///< the input that took them; empty: the first
};

namespace detail {

/// What a file of torch.save holds, and how a program of Python makes TorchScript of it.
inline std::string saved_thing(const std::string& path) {
  const auto module = sightglass::saved_module(path);
  if (!module)
    return "holds weights (a state dict or checkpoint), not the network itself; in Python: build the network, "
           "load_state_dict, then torch.jit.script(model.eval()).save(\"model.pt\")";
  return "holds a whole Python module (" + (module->type.empty() ? "of an unknown class" : module->type) +
         "); in Python, where its class can be imported: torch.jit.script(torch.load(\"old.pt\", weights_only=False)" +
         (module->key.empty() ? "" : "[\"" + module->key + "\"]") + ".float().eval()).save(\"model.pt\")";
}

/// What a file is that is no TorchScript, and what to do. Nothing for a kind that is not known.
inline std::string what_it_is(const std::string& path) {
  using sightglass::FileKind;
  const FileKind kind = sightglass::file_kind(path);
  const std::string is = "is " + sightglass::describe(kind) + "; ";
  const std::string remedy = sightglass::remedy(kind);
  if (!remedy.empty()) return is + remedy;
  switch (kind) {
    case FileKind::torch_script:
    case FileKind::exported_program:
    case FileKind::unknown:
      return "";
    case FileKind::torch_save:
    case FileKind::torch_save_legacy:
      return saved_thing(path);
    case FileKind::safetensors:
      return "is a safetensors file, which holds weights, not the network itself; in Python: build the network, load "
             "them, then torch.jit.script(model.eval()).save(\"model.pt\")";
    case FileKind::picture:
      return is + "the model comes first, then the pictures: explain model.pt cat.jpg";
    default:
      return is +
             "expected TorchScript of a PyTorch model; in Python: torch.jit.script(model.eval()).save(\"model.pt\")";
  }
}

/// The operator that LibTorch lacks, in what its loader says; else empty.
inline std::string unknown_operator(const std::string& reason) {
  const std::string before = "Unknown builtin op: ";
  const size_t at = reason.find(before);
  if (at == std::string::npos) return "";
  std::string name = reason.substr(at + before.size());
  name.erase(std::min(name.size(), name.find_first_of(" \n")));
  while (!name.empty() && (name.back() == '.' || name.back() == ':')) name.pop_back();
  return name;
}

inline std::string about_operator(const std::string& name) {
  const std::string library = name.substr(0, name.find(':'));
  const std::string has = "uses the operator " + name + ", which ";
  const std::string without = "; export the part that runs without it";
  if (library == "aten" || library == "prim")
    return has + "this LibTorch (" TORCH_VERSION ") does not know: the file is of a newer PyTorch; export it with " +
           "this version, or build with that one";
  if (library == "torchvision")
    return has + "is torchvision's, of those that sightglass does not provide (it has nms and roi_align)" + without;
  return has + "is of the library " + library + " and not part of LibTorch" + without;
}

/// Of what LibTorch says of a file that it cannot load.
inline std::string why_not_loaded(const std::exception& error) {
  const std::string name = unknown_operator(error.what());
  if (!name.empty()) return about_operator(name);
  return "cannot be loaded as TorchScript (" + first_sentence(one_line(error)) +
         "); in Python: torch.jit.script(model.eval()).save(\"model.pt\")";
}

inline ModelFile read_program(const std::string& path) {
  sightglass::ExportedProgram program = sightglass::ExportedProgram::load(path);
  program.eval();
  ModelFile read{program};
  const auto& sizes = program.example_sizes();
  const auto picture = std::find_if(sizes.begin(), sizes.end(), [](const auto& size) { return size.size() == 4; });
  if (picture == sizes.end()) return read;
  if (picture->at(2) > 0 && picture->at(3) > 0) {
    read.height = picture->at(2);
    read.width = picture->at(3);
  }
  const auto& arguments = read.module.get_method("forward").function().getSchema().arguments();
  if (arguments.size() == sizes.size() + 1)  // the module itself, and none that holds several tensors or none
    read.picture = arguments.at(static_cast<size_t>(picture - sizes.begin()) + 1).name();
  return read;
}

}  // namespace detail

/// Reads a TorchScript file or an exported program (.pt2): on the CPU, in evaluation mode.
/// Throws `c10::Error` for a missing or damaged file, and for what is neither: what it is, and what to do.
inline ModelFile read_model(const std::string& path) {
  std::error_code unknown;
  TORCH_CHECK(fs::exists(path, unknown), "model \"", path, "\": no such file");
  TORCH_CHECK(!fs::is_directory(path, unknown), "model \"", path, "\": is a folder; expected a TorchScript file");
  sightglass::provide_torchvision_operators();
  if (sightglass::file_kind(path) == sightglass::FileKind::exported_program) return detail::read_program(path);
  std::string reason = detail::what_it_is(path);
  if (reason.empty()) {
    try {
      torch::jit::ExtraFilesMap files{{"config.txt", ""}};
      ModelFile read{torch::jit::load(path, torch::kCPU, files)};
      read.config = files["config.txt"];
      read.module.eval();
      return read;
    } catch (const std::exception& error) {
      reason = detail::why_not_loaded(error);
    }
  }
  C10_THROW_ERROR(Error, c10::str("model \"", path, "\": ", reason));
}

/// The model alone.
inline torch::jit::Module load_model(const std::string& path) { return read_model(path).module; }

}  // namespace support
