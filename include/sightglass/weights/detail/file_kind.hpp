#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <vector>

#include "sightglass/weights/detail/file_reader.hpp"
#include "sightglass/weights/detail/zip_archive.hpp"

namespace sightglass::detail {

/// What a file is, told from its bytes: names lie, and downloads leave all sorts of things under them.
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

/// For messages: `is `, and this.
std::string describe(FileKind kind);

/// How the file itself is had, where this one only stands for it; else empty.
std::string how_to_get(FileKind kind);

bool begins_with(const std::string& bytes, const std::string& start, size_t at = 0);

/// What the files of `torch.save` before PyTorch 1.6 begin with: a pickle of a number.
const std::string& legacy_magic();

/// By the names of its records.
FileKind kind_of(const ZipArchive& archive);

/// The header's length, and the header, which is JSON.
bool is_safetensors(const std::string& start);

/// A field of text in Protocol Buffers: tag, length, letters. Gives where it ends; 0 for anything else.
size_t end_of_text_field(const std::string& bytes, size_t at, char tag);

/// A ModelProto: the format's version, then the producer's name, the graph or the operators' version.
bool is_onnx(const std::string& start);

/// A SavedModel of version 1 and its first graph; or a GraphDef, which begins with a node's name and operator.
bool is_tensorflow(const std::string& start);

bool is_picture(const std::string& start);

bool is_archive(const std::string& start);

/// What only letters tell.
FileKind kind_of_text(const std::string& start);

/// @throws c10::Error for a zip file whose directory is truncated or damaged.
FileKind kind_of(FileReader& file);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/file_kind_inl.hpp"
#endif
