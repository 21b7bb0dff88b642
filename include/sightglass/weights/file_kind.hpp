#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

#include "sightglass/weights/detail/file_reader.hpp"
#include "sightglass/weights/detail/signatures.hpp"
#include "sightglass/weights/detail/zip_archive.hpp"

namespace sightglass {

/// What a file is.
enum class FileKind {
  torch_save,         ///< the zip format of `torch.save`: weights, a checkpoint, a whole module
  torch_save_legacy,  ///< the same before PyTorch 1.6
  torch_script,
  exported_program,  ///< .pt2
  executorch,
  safetensors,
  onnx,
  tensorflow,
  hdf5,  ///< Keras' .h5, and others
  keras,
  gguf,
  numpy,
  pickle,
  picture,
  archive,  ///< zip, tar, gzip, ...: something packed
  web_page,
  lfs_pointer,
  text,
  empty,
  unknown
};

/// In words that go on after "is": `a file of torch.save`, `empty (0 bytes)`.
std::string describe(FileKind kind);

/// What to do where the file only stands for another, such as `git lfs pull`; empty where it is what it is.
std::string remedy(FileKind kind);

namespace detail {

/// By the names of its records.
FileKind kind_of(const ZipArchive& archive);

/// What only letters tell.
FileKind kind_of_text(const std::string& start);

FileKind kind_of(FileReader& file);

}  // namespace detail

/// What the file at `path` is, told from its bytes: names can be wrong, and downloads leave all sorts of things under
/// them. Throws `c10::Error` with the path for a file that is missing or cannot be read, and for a zip file whose
/// directory is truncated or damaged.
FileKind file_kind(const std::string& path);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/file_kind_inl.hpp"
#endif
