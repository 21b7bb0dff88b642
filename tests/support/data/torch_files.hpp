#pragma once

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

/// Files as Python's torch.save makes them, written byte by byte, and damaged ones.
namespace support {

/// A folder of its own for a test; gone with it.
class Folder {
 public:
  Folder() : path_(std::filesystem::temp_directory_path() / ("sightglass_files_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }

  std::string operator/(const std::string& name) const { return (path_ / name).string(); }
  size_t count() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(path_), std::filesystem::directory_iterator()));
  }

 private:
  std::filesystem::path path_;
};

inline std::string write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}
inline std::string read_bytes(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// A number, little-endian; zeros beyond its eight bytes.
inline std::string le(uint64_t value, size_t count) {
  std::string bytes;
  for (size_t i = 0; i < count; ++i, value >>= 8) bytes += static_cast<char>(value & 0xFF);
  return bytes;
}

// ---- Pickles of protocol 2
inline std::string py_str(const std::string& text) { return "X" + le(text.size(), 4) + text; }
inline std::string py_int(int64_t value) { return "\x8a\x08" + le(static_cast<uint64_t>(value), 8); }
inline std::string py_tuple(const std::vector<int64_t>& values) {
  std::string text = "(";
  for (const int64_t value : values) text += py_int(value);
  return text + "t";
}
inline std::string py_storage(const std::string& type, const std::string& key, int64_t count) {
  return "(" + py_str("storage") + "ctorch\n" + type + "\n" + py_str(key) + py_str("cpu") + py_int(count) + "tQ";
}
inline std::string py_tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& sizes,
                             const std::vector<int64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n(" + storage + py_int(offset) + py_tuple(sizes) + py_tuple(strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}
/// What `model.state_dict()` is: an OrderedDict with the attribute `_metadata`.
inline std::string py_ordered_dict(const std::string& items) {
  return "ccollections\nOrderedDict\n)R(" + items + "u}" + py_str("_metadata") + "ccollections\nOrderedDict\n)R" +
         py_str("") + "}" + py_str("version") + "K\x01" + "sssb";
}
inline std::string py_pickle(const std::string& value) { return "\x80\x02" + value + "."; }

/// A zip file of stored records, without checksums.
inline std::string zip_of(const std::vector<std::pair<std::string, std::string>>& records) {
  std::string file, directory;
  for (const auto& [name, bytes] : records) {
    const std::string sizes = le(0, 4) + le(bytes.size(), 4) + le(bytes.size(), 4) + le(name.size(), 2) + le(0, 2);
    directory += "PK\x01\x02" + le(0, 12) + sizes + le(0, 10) + le(file.size(), 4) + name;
    file += "PK\x03\x04" + le(0, 10) + sizes + name + bytes;
  }
  return file + directory + "PK\x05\x06" + le(0, 4) + le(records.size(), 2) + le(records.size(), 2) +
         le(directory.size(), 4) + le(file.size(), 4) + le(0, 2);
}

/// `{"w": [[0, 1, 2], [3, 4, 5]], "n": 7}` as floats and an int64 scalar.
inline std::string floats(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), 4 * values.size()};
}
inline std::string small_items() {
  return py_str("w") + py_tensor(py_storage("FloatStorage", "0", 6), 0, {2, 3}, {3, 1}) + py_str("n") +
         py_tensor(py_storage("LongStorage", "1", 1), 0, {}, {});
}
inline std::string small_zip(const std::string& value = py_ordered_dict(small_items())) {
  return zip_of({{"small/data.pkl", py_pickle(value)},
                 {"small/byteorder", "little"},
                 {"small/data/0", floats({0, 1, 2, 3, 4, 5})},
                 {"small/data/1", le(7, 8)},
                 {"small/version", "3\n"}});
}
/// The same in the format before PyTorch 1.6.
inline std::string small_legacy() {
  const std::string magic("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15);
  return magic + py_pickle(py_int(1001)) +
         py_pickle("}(" + py_str("little_endian") +
                   "\x88"
                   "u") +
         py_pickle(py_ordered_dict(small_items())) + py_pickle("](" + py_str("0") + py_str("1") + "e") + le(6, 8) +
         floats({0, 1, 2, 3, 4, 5}) + le(1, 8) + le(7, 8);
}

}  // namespace support
