#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sightglass/weights/detail/file_reader.hpp"
#include "sightglass/weights/detail/pickled.hpp"
#include "sightglass/weights/detail/unpickler.hpp"
#include "sightglass/weights/detail/zip_archive.hpp"
#include "sightglass/weights/file_kind.hpp"

namespace sightglass::detail {

/// How the weights of a file that `torch.save` did not write are had.
std::string how_to_get_weights(FileKind kind);

/// Throws unless every element of such a tensor lies in a storage of `count` elements.
void check_in_storage(const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides, int64_t offset,
                      int64_t count);

/// A file of Python's `torch.save`: the zip format, and the one before PyTorch 1.6. Tensors are read when asked for.
class TorchFile {
 public:
  explicit TorchFile(const std::string& path) : TorchFile(FileReader(path)) {}
  explicit TorchFile(FileReader file);

  /// What was saved.
  const Pickled& top() const { return *top_; }

  /// Tensors of one storage share it, as they did in Python.
  at::Tensor tensor(const PickledTensor& pickled);

 private:
  // ---- The zip format: data.pkl, and one record a storage
  void open_zip();

  // ---- The format before 1.6: pickles of a magic number, a version, the machine, the value and the storages' keys,
  // ---- then each storage's size and bytes
  void open_legacy();

  static void check_machine(const Pickled& machine);

  /// Notes where a storage's bytes begin; gives where the next one is.
  uint64_t add_legacy(const Pickled* key, uint64_t at);

  // ---- Storages
  uint64_t bytes_of(const PickledStorage& storage) const;

  at::Tensor storage_of(const PickledStorage& storage);

  at::Tensor read_storage(const std::string& key, uint64_t wanted);

  FileReader file_;
  std::unique_ptr<ZipArchive> archive_;
  std::string folder_;  // of the records, with its slash
  std::unique_ptr<Cursor> cursor_;
  std::unique_ptr<Unpickler> unpickler_;
  const Pickled* top_ = nullptr;
  std::unordered_map<std::string, uint64_t> legacy_;  // where each storage's bytes begin
  std::unordered_map<std::string, at::Tensor> storages_;
  uint64_t read_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/torch_file_inl.hpp"
#endif
