#pragma once

#include "sightglass/weights/detail/file_reader.hpp"

#include <filesystem>
#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE uint64_t little_endian(const char* bytes, size_t count) {
  uint64_t number = 0;
  for (size_t i = count; i > 0; --i) number = number << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return number;
}

SIGHTGLASS_INLINE FileReader::FileReader(const std::string& path) {
  std::error_code failed;
  const std::filesystem::file_status status = std::filesystem::status(path, failed);
  TORCH_CHECK(std::filesystem::exists(status), "no such file");
  TORCH_CHECK(std::filesystem::is_regular_file(status), "is not a regular file");
  size_ = std::filesystem::file_size(path, failed);
  stream_.open(path, std::ios::binary);
  TORCH_CHECK(!failed && stream_.good(), "cannot be opened; expected a file that may be read");
}

SIGHTGLASS_INLINE FileReader::FileReader(const std::string& path, uint64_t begin, uint64_t size) : FileReader(path) {
  check(begin, size);
  begin_ = begin;
  size_ = size;
}

SIGHTGLASS_INLINE void FileReader::check(uint64_t from, uint64_t count) const {
  TORCH_CHECK(from <= size_ && count <= size_ - from, "is truncated or damaged: ", count, " bytes at ", from,
              " are asked for, the file has ", size_);
}

SIGHTGLASS_INLINE void FileReader::read(uint64_t from, uint64_t count, void* into) {
  check(from, count);
  stream_.clear();
  stream_.seekg(static_cast<std::streamoff>(begin_ + from));
  stream_.read(static_cast<char*>(into), static_cast<std::streamsize>(count));
  TORCH_CHECK(stream_.good() || count == 0, "cannot be read to its end");
}

SIGHTGLASS_INLINE std::string FileReader::bytes(uint64_t from, uint64_t count) {
  check(from, count);
  std::string read_bytes(static_cast<size_t>(count), '\0');
  read(from, count, read_bytes.data());
  return read_bytes;
}

SIGHTGLASS_INLINE Cursor::Cursor(FileReader& file, uint64_t begin, uint64_t end) : file_(file), at_(begin), end_(end) {
  file.check(begin, end - begin);
}

SIGHTGLASS_INLINE uint8_t Cursor::byte() { return static_cast<uint8_t>(bytes(1)[0]); }

SIGHTGLASS_INLINE uint64_t Cursor::number(size_t count) { return little_endian(bytes(count).data(), count); }

SIGHTGLASS_INLINE std::string Cursor::bytes(uint64_t count) {
  TORCH_CHECK(count <= end_ - at_, "is truncated or damaged: ", count, " bytes are asked for, ", end_ - at_,
              " are left");
  if (at_ < chunk_at_ || at_ + count > chunk_at_ + chunk_.size()) refill(count);
  at_ += count;
  return chunk_.substr(static_cast<size_t>(at_ - count - chunk_at_), static_cast<size_t>(count));
}

SIGHTGLASS_INLINE std::string Cursor::line() {
  constexpr size_t longest = 1000;
  std::string text;
  for (char letter = static_cast<char>(byte()); letter != '\n'; letter = static_cast<char>(byte())) {
    TORCH_CHECK(text.size() < longest, "is damaged: a name is longer than ", longest, " letters");
    text += letter;
  }
  return text;
}

SIGHTGLASS_INLINE void Cursor::refill(uint64_t count) {
  constexpr uint64_t ahead = 1 << 16;
  chunk_ = file_.bytes(at_, std::min(std::max(count, ahead), end_ - at_));
  chunk_at_ = at_;
}

}  // namespace sightglass::detail
