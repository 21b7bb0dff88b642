#pragma once

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>

#include "sightglass/weights/detail/file_reader.hpp"

/// What the bytes of files begin with, format by format.
namespace sightglass::detail {

inline bool begins_with(const std::string& bytes, const std::string& start, size_t at = 0) {
  return bytes.size() >= at + start.size() && bytes.compare(at, start.size(), start) == 0;
}

/// What the files of `torch.save` before PyTorch 1.6 begin with: a pickle of a number.
inline const std::string& legacy_magic() {
  static const std::string magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);
  return magic;
}

/// The header's length, and the header, which is JSON.
inline bool is_safetensors(const std::string& start) {
  constexpr uint64_t longest_header = 100'000'000;
  return start.size() > 9 && start[8] == '{' && little_endian(start.data(), 8) <= longest_header &&
         (start[9] == '"' || start[9] == '}' || start[9] == ' ');
}

/// A field of text in Protocol Buffers: tag, length, letters. Gives where it ends; 0 for anything else.
inline size_t end_of_text_field(const std::string& bytes, size_t at, char tag) {
  if (at + 2 > bytes.size() || bytes[at] != tag) return 0;
  const size_t end = at + 2 + static_cast<uint8_t>(bytes[at + 1]);
  const auto is_letter = [](unsigned char byte) { return std::isprint(byte) != 0; };
  const bool text = end <= bytes.size() && std::all_of(bytes.begin() + static_cast<std::ptrdiff_t>(at + 2),
                                                       bytes.begin() + static_cast<std::ptrdiff_t>(end), is_letter);
  return text ? end : 0;
}

/// A ModelProto: the format's version, then the producer's name, the graph or the operators' version.
inline bool is_onnx(const std::string& start) {
  if (start.size() < 3 || start[0] != '\x08' || start[1] < 3 || start[1] > 64) return false;
  return start[2] == '\x3a' || start[2] == '\x42' || end_of_text_field(start, 2, '\x12') > 0;
}

/// A SavedModel of version 1 and its first graph; or a GraphDef, which begins with a node's name and operator.
inline bool is_tensorflow(const std::string& start) {
  if (begins_with(start, "\x08\x01\x12") || begins_with(start, "TFL3", 4)) return true;
  const size_t node = !begins_with(start, "\x0a") || start.size() < 3 ? 0 : (start[1] & 0x80) != 0 ? 3 : 2;
  const size_t name_end = node == 0 ? 0 : end_of_text_field(start, node, '\x0a');
  return name_end > node + 2 && end_of_text_field(start, name_end, '\x12') > name_end + 2;
}

inline bool is_picture(const std::string& start) {
  return begins_with(start, "\x89PNG\r\n") || begins_with(start, "\xFF\xD8\xFF") || begins_with(start, "GIF8") ||
         begins_with(start, std::string("II*\0", 4)) || begins_with(start, std::string("MM\0*", 4)) ||
         (begins_with(start, "RIFF") && begins_with(start, "WEBP", 8));
}

inline bool is_archive(const std::string& start) {
  return begins_with(start, "\x1f\x8b") || begins_with(start, "BZh") ||
         begins_with(start,
                     "\xFD"
                     "7zXZ") ||
         begins_with(start, "7z\xBC\xAF") || begins_with(start, "\x28\xB5\x2F\xFD") || begins_with(start, "Rar!") ||
         begins_with(start, "ustar", 257);
}

}  // namespace sightglass::detail
