#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

/// Files that nobody vouches for: nothing is read beyond their end, nothing larger than they are is allocated.
namespace sightglass::detail {

/// The whole number in the `count` bytes from `bytes`, little-endian.
inline uint64_t little_endian(const char* bytes, size_t count) {
  uint64_t number = 0;
  for (size_t i = count; i > 0; --i) number = number << 8 | static_cast<uint8_t>(bytes[i - 1]);
  return number;
}

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
  /// @throws c10::Error when there is no such file, or it is a folder or a device.
  explicit FileReader(const std::string& path) {
    std::error_code failed;
    const std::filesystem::file_status status = std::filesystem::status(path, failed);
    TORCH_CHECK(std::filesystem::exists(status), "no such file");
    TORCH_CHECK(std::filesystem::is_regular_file(status), "is not a regular file");
    size_ = std::filesystem::file_size(path, failed);
    stream_.open(path, std::ios::binary);
    TORCH_CHECK(!failed && stream_.good(), "cannot be opened; expected a file that may be read");
  }

  uint64_t size() const { return size_; }

  /// Throws when the file is too short for it; asked before any memory is taken.
  void check(uint64_t from, uint64_t count) const {
    TORCH_CHECK(from <= size_ && count <= size_ - from, "is truncated or damaged: ", count, " bytes at ", from,
                " are asked for, the file has ", size_);
  }
  void read(uint64_t from, uint64_t count, void* into) {
    check(from, count);
    stream_.clear();
    stream_.seekg(static_cast<std::streamoff>(from));
    stream_.read(static_cast<char*>(into), static_cast<std::streamsize>(count));
    TORCH_CHECK(stream_.good() || count == 0, "cannot be read to its end");
  }
  std::string bytes(uint64_t from, uint64_t count) {
    check(from, count);
    std::string read_bytes(static_cast<size_t>(count), '\0');
    read(from, count, read_bytes.data());
    return read_bytes;
  }

 private:
  uint64_t size_ = 0;
  std::ifstream stream_;
};

/// Goes through a part of a file from its beginning.
class Cursor {
 public:
  Cursor(FileReader& file, uint64_t begin, uint64_t end) : file_(file), at_(begin), end_(end) {
    file.check(begin, end - begin);
  }

  /// The place in the file of what is read next.
  uint64_t at() const { return at_; }

  uint8_t byte() { return static_cast<uint8_t>(bytes(1)[0]); }
  /// A little-endian number of `count` bytes.
  uint64_t number(size_t count) { return little_endian(bytes(count).data(), count); }
  std::string bytes(uint64_t count) {
    TORCH_CHECK(count <= end_ - at_, "is truncated or damaged: ", count, " bytes are asked for, ", end_ - at_,
                " are left");
    if (at_ < chunk_at_ || at_ + count > chunk_at_ + chunk_.size()) refill(count);
    at_ += count;
    return chunk_.substr(static_cast<size_t>(at_ - count - chunk_at_), static_cast<size_t>(count));
  }
  /// Up to the end of the line, without it.
  std::string line() {
    constexpr size_t longest = 1000;
    std::string text;
    for (char letter = static_cast<char>(byte()); letter != '\n'; letter = static_cast<char>(byte())) {
      TORCH_CHECK(text.size() < longest, "is damaged: a name is longer than ", longest, " letters");
      text += letter;
    }
    return text;
  }

 private:
  void refill(uint64_t count) {
    constexpr uint64_t ahead = 1 << 16;
    chunk_ = file_.bytes(at_, std::min(std::max(count, ahead), end_ - at_));
    chunk_at_ = at_;
  }

  FileReader& file_;
  uint64_t at_, end_;
  std::string chunk_;
  uint64_t chunk_at_ = 0;
};

}  // namespace sightglass::detail
