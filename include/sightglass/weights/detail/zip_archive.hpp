#pragma once

#include <c10/util/Exception.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "sightglass/weights/detail/file_reader.hpp"

namespace sightglass::detail {

/// CRC-32 as zip files have it.
uint32_t crc32(const char* bytes, size_t count);

/// The records of a zip file that are stored as they are, which is how `torch.save` writes them; zip64 too.
///
/// LibTorch's own reader takes the sizes that a file claims for granted, and compressed records may be bombs.
class ZipArchive {
 public:
  struct Record {
    uint64_t header = 0;  // where its local header is
    uint64_t size = 0;
    uint32_t crc = 0;
    uint64_t method = 0;  // 0: stored as it is
  };

  static bool is_zip(FileReader& file);

  /// Reads the directory. `file` must outlive the archive.
  explicit ZipArchive(FileReader& file);

  const std::map<std::string, Record>& records() const { return records_; }

  /// The record of this name; throws where there is none.
  const Record& record(const std::string& name) const;
  /// Where a record's bytes begin.
  uint64_t begin(const Record& record) const;
  /// Throws when the record's bytes are not those that were written. No checksum, as torch.save may be told, is 0.
  static void check(const Record& record, const char* bytes, const std::string& name);
  std::string bytes(const std::string& name) const;

 private:
  static constexpr size_t local_header = 30, central_header = 46, end_record = 22, locator = 20, end_record_64 = 56;
  struct Directory {
    uint64_t begin = 0, size = 0;
  };

  static uint64_t number(const std::string& bytes, size_t at, size_t count);

  Directory find_directory();

  /// Adds the directory's entry that begins at `at`; gives its length.
  size_t add_entry(const std::string& directory, size_t at);

  /// Takes what does not fit in 32 bits from the zip64 field: size, compressed size and place, in this order.
  static void widen(Record& record, uint64_t compressed, const std::string& extra);

  FileReader& file_;
  std::map<std::string, Record> records_;
};

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/weights/detail/zip_archive_inl.hpp"
#endif
