#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "sightglass/exported/detail/json.hpp"
#include "sightglass/weights/detail/file_reader.hpp"
#include "sightglass/weights/detail/torch_file.hpp"
#include "sightglass/weights/detail/zip_archive.hpp"

namespace sightglass::detail {

/// The type that a file's number stands for. Throws for those that are not read.
c10::ScalarType scalar_type_of(int64_t number);

/// A `.pt2` file: the program as JSON, and tensors by name. Three layouts: that of PyTorch 2.9 and later, in folders;
/// that of 2.8, with a file of `torch.save` in each; the one before, such files and no folders.
class ProgramArchive {
 public:
  /// @param model the name of one of several programs; empty: the only one, or the one called "model"
  ProgramArchive(const std::string& path, const std::string& model);

  /// The program; read anew each time.
  Json program();

  /// What the state dict has under this name. Tensors that were one object are one again.
  at::Tensor weight(const std::string& name) { return tensor(weights_, name); }
  /// A constant, or a buffer that the state dict does not have.
  at::Tensor constant(const std::string& name) { return tensor(constants_, name); }

  /// The tensors that were read from the state dict, by each name that it has for them.
  std::map<std::string, at::Tensor> read_weights() const;

 private:
  using View = std::tuple<std::string, c10::ScalarType, int64_t, std::vector<int64_t>, std::vector<int64_t>>;
  /// The tensors of one kind.
  struct Tensors {
    std::string folder;                                   // of their bytes
    std::optional<Json> config;                           // by name: where the bytes are, and what they mean
    std::unique_ptr<TorchFile> saved;                     // in the older layouts
    std::map<std::string, const PickledTensor*> pickled;  // by name
  };

  static FileReader& checked(FileReader& file);
  static void expect_program(FileKind kind);
  static View view_of(const Tensors& tensors, const PickledTensor& pickled);
  /// The folder of the records, with its slash.
  std::string folder_of() const;
  std::string choose(const std::string& wanted) const;
  void open_folders(const std::string& model);
  void open_saved(Tensors& tensors, const std::string& record);

  /// A file of `torch.save` that is a record of this one.
  std::unique_ptr<TorchFile> saved_file(const std::string& record) const;

  at::Tensor tensor(Tensors& tensors, const std::string& name);
  at::Tensor read(const std::string& record, const Json& meta);
  at::Tensor bytes_of(const std::string& record);

  std::string path_;
  FileReader file_;
  ZipArchive archive_;
  std::string folder_, program_;
  Tensors weights_, constants_;
  std::map<std::string, at::Tensor> storages_;
  std::map<View, at::Tensor> views_;
  uint64_t read_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/exported/detail/program_archive_inl.hpp"
#endif
