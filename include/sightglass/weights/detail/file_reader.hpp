#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <fstream>
#include <string>
#include <system_error>

/// Files that may be damaged, or made to do harm: nothing is read beyond their end, nothing larger than they are is
/// allocated.
namespace sightglass::detail {

/// The whole number in the `count` bytes from `bytes`, little-endian.
uint64_t little_endian(const char* bytes, size_t count);

/// Runs `work`; what it throws names the file: `state dict "a.pth": reason`.
template <class Work>
auto naming_file(const char* what, const std::string& path, Work&& work) {
  std::string reason;
  try {
    return work();
  } catch (const c10::Error& error) {
    reason = error.what_without_backtrace();
  } catch (const std::exception& error) {
    reason = error.what();
  }
  C10_THROW_ERROR(Error, c10::str(what, " \"", path, "\": ", reason));
}

/// A file's bytes, by place.
class FileReader {
 public:
  /// Throws `c10::Error` where there is no such file, or it is a folder or a device.
  explicit FileReader(const std::string& path);
  /// A part of a file, as if it were one. Throws where the file ends before.
  FileReader(const std::string& path, uint64_t begin, uint64_t size);

  uint64_t size() const { return size_; }

  /// Throws when the file is too short for it; asked before any memory is taken.
  void check(uint64_t from, uint64_t count) const;
  void read(uint64_t from, uint64_t count, void* into);
  std::string bytes(uint64_t from, uint64_t count);

 private:
  uint64_t begin_ = 0, size_ = 0;
  std::ifstream stream_;
};

/// Goes through a part of a file from its beginning.
class Cursor {
 public:
  Cursor(FileReader& file, uint64_t begin, uint64_t end);

  /// The place in the file of what is read next.
  uint64_t at() const { return at_; }

  uint8_t byte();
  /// A little-endian number of `count` bytes.
  uint64_t number(size_t count);
  std::string bytes(uint64_t count);
  /// Up to the end of the line, without it.
  std::string line();

 private:
  void refill(uint64_t count);

  FileReader& file_;
  uint64_t at_, end_;
  std::string chunk_;
  uint64_t chunk_at_ = 0;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/file_reader_inl.hpp"
#endif
