#pragma once

#include "sightglass/weights/detail/zip_archive.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

/// Of each byte, what it does to a checksum from so many bytes before its end.
using CrcTables = std::array<std::array<uint32_t, 256>, 8>;

inline const CrcTables& crc_tables() {
  static const CrcTables tables = [] {
    CrcTables made{};
    for (uint32_t i = 0; i < 256; ++i) {
      made[0][i] = i;
      for (int bit = 0; bit < 8; ++bit) made[0][i] = (made[0][i] >> 1) ^ ((made[0][i] & 1) != 0 ? 0xEDB88320u : 0u);
    }
    for (size_t t = 1; t < made.size(); ++t)
      for (uint32_t i = 0; i < 256; ++i) made[t][i] = (made[t - 1][i] >> 8) ^ made[0][made[t - 1][i] & 0xFF];
    return made;
  }();
  return tables;
}

SIGHTGLASS_INLINE uint32_t crc32(const char* bytes, size_t count) {
  const CrcTables& tables = crc_tables();
  uint32_t crc = ~0u;
  for (; count >= 8; bytes += 8, count -= 8) {  // eight bytes at once: five times as fast
    const uint64_t next = little_endian(bytes, 8) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= tables[7 - i][(next >> (8 * i)) & 0xFF];
  }
  for (; count > 0; ++bytes, --count) crc = tables[0][(crc ^ static_cast<uint8_t>(*bytes)) & 0xFF] ^ (crc >> 8);
  return ~crc;
}

SIGHTGLASS_INLINE bool ZipArchive::is_zip(FileReader& file) {
  return file.size() >= 4 && file.bytes(0, 4) == "PK\x03\x04";
}

SIGHTGLASS_INLINE ZipArchive::ZipArchive(FileReader& file) : file_(file) {
  const Directory where = find_directory();
  const std::string directory = file.bytes(where.begin, where.size);
  for (size_t at = 0; at < directory.size();) at += add_entry(directory, at);
}

SIGHTGLASS_INLINE const ZipArchive::Record& ZipArchive::record(const std::string& name) const {
  const auto found = records_.find(name);
  TORCH_CHECK(found != records_.end(), "is damaged: it has no record \"", name, "\"");
  return found->second;
}

SIGHTGLASS_INLINE uint64_t ZipArchive::begin(const Record& record) const {
  TORCH_CHECK(record.method == 0,
              "has compressed records, which torch.save never writes; unpack it, zip it with zip -0");
  const std::string header = file_.bytes(record.header, local_header);
  TORCH_CHECK(header.compare(0, 4, "PK\x03\x04") == 0, "is damaged: no zip record at ", record.header);
  const uint64_t begin = record.header + local_header + number(header, 26, 2) + number(header, 28, 2);
  file_.check(begin, record.size);
  return begin;
}

SIGHTGLASS_INLINE void ZipArchive::check(const Record& record, const char* bytes, const std::string& name) {
  TORCH_CHECK(record.crc == 0 || crc32(bytes, static_cast<size_t>(record.size)) == record.crc,
              "is damaged: the checksum of \"", name, "\" is wrong; copy or download the file again");
}

SIGHTGLASS_INLINE std::string ZipArchive::bytes(const std::string& name) const {
  const Record& found = record(name);
  std::string read = file_.bytes(begin(found), found.size);
  check(found, read.data(), name);
  return read;
}

SIGHTGLASS_INLINE uint64_t ZipArchive::number(const std::string& bytes, size_t at, size_t count) {
  TORCH_CHECK(at + count <= bytes.size(), "is truncated or damaged: its zip directory ends too early");
  return little_endian(bytes.data() + at, count);
}

SIGHTGLASS_INLINE ZipArchive::Directory ZipArchive::find_directory() {
  const uint64_t searched = std::min<uint64_t>(file_.size(), end_record + 0xFFFF);
  const uint64_t base = file_.size() - searched;
  const std::string tail = file_.bytes(base, searched);
  const size_t end = tail.rfind("PK\x05\x06");
  TORCH_CHECK(end != std::string::npos && tail.size() - end >= end_record,
              "is truncated: its zip directory is missing; copy or download it again");
  if (end >= locator && tail.compare(end - locator, 4, "PK\x06\x07") == 0) {
    const std::string wide = file_.bytes(number(tail, end - locator + 8, 8), end_record_64);
    TORCH_CHECK(wide.compare(0, 4, "PK\x06\x06") == 0, "is damaged: its zip64 directory is missing");
    return {number(wide, 48, 8), number(wide, 40, 8)};
  }
  return {number(tail, end + 16, 4), number(tail, end + 12, 4)};
}

SIGHTGLASS_INLINE size_t ZipArchive::add_entry(const std::string& directory, size_t at) {
  TORCH_CHECK(directory.compare(at, 4, "PK\x01\x02") == 0, "is damaged: its zip directory makes no sense");
  const size_t name = number(directory, at + 28, 2), extra = number(directory, at + 30, 2);
  const size_t length = central_header + name + extra + number(directory, at + 32, 2);
  TORCH_CHECK(length <= directory.size() - at, "is truncated or damaged: its zip directory ends too early");
  const std::string called = directory.substr(at + central_header, name);
  Record record{number(directory, at + 42, 4), number(directory, at + 24, 4),
                static_cast<uint32_t>(number(directory, at + 16, 4)), number(directory, at + 10, 2)};
  widen(record, number(directory, at + 20, 4), directory.substr(at + central_header + name, extra));
  TORCH_CHECK(records_.emplace(called, record).second, "is damaged: it has two records \"", called, "\"");
  return length;
}

SIGHTGLASS_INLINE void ZipArchive::widen(Record& record, uint64_t compressed, const std::string& extra) {
  constexpr uint64_t elsewhere = 0xFFFFFFFF;
  for (size_t at = 0; at + 4 <= extra.size(); at += 4 + number(extra, at + 2, 2)) {
    if (number(extra, at, 2) != 1) continue;
    size_t next = at + 4;
    for (uint64_t* value : {&record.size, &compressed, &record.header}) {
      if (*value != elsewhere) continue;
      *value = number(extra, next, 8);
      next += 8;
    }
    break;
  }
  TORCH_CHECK(compressed == record.size || record.method != 0, "is damaged: a stored record has two sizes");
}

}  // namespace sightglass::detail
