#pragma once

#include <c10/util/Exception.h>
#include <torch/types.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <regex>
#include <string>
#include <vector>

// NumPy's array files, as far as pictures and maps need them: float32, in C order. The format is documented in
// numpy.lib.format: a magic number, a version, the length of a header, the header (a Python dict), the values.
namespace support {

namespace detail {

constexpr char npy_magic[] = "\x93NUMPY";
constexpr size_t npy_magic_size = 6;

/// The number that little-endian bytes stand for.
inline size_t npy_number(const std::string& bytes, size_t at, size_t count) {
  size_t number = 0;
  for (size_t i = count; i > 0; --i) number = number * 256 + static_cast<unsigned char>(bytes[at + i - 1]);
  return number;
}

/// What stands behind a key of the header.
inline std::string npy_value(const std::string& header, const std::string& key, const std::string& pattern) {
  std::smatch match;
  const bool found = std::regex_search(header, match, std::regex("['\"]" + key + "['\"]\\s*:\\s*" + pattern));
  TORCH_CHECK(found, "its header has no readable \"", key, "\"");
  return match[1];
}

inline std::vector<int64_t> npy_shape(const std::string& list) {
  constexpr int64_t most = std::numeric_limits<int64_t>::max() / static_cast<int64_t>(sizeof(int64_t));
  std::vector<int64_t> shape;
  int64_t elements = 1;
  const std::regex digits("\\d+");
  for (std::sregex_iterator it(list.begin(), list.end(), digits), end; it != end; ++it) {
    TORCH_CHECK(it->length() < 19, "its shape (", list, ") has a length that is no size");
    shape.push_back(std::stoll(it->str()));
    TORCH_CHECK(shape.back() > 0, "its shape (", list, ") has no elements");
    TORCH_CHECK(shape.back() <= most / elements, "its shape (", list, ") has more elements than memory can hold");
    elements *= shape.back();
  }
  return shape;
}

/// The type that NumPy calls so.
inline c10::ScalarType npy_type(const std::string& name) {
  static const std::map<std::string, c10::ScalarType> known{{"<f4", torch::kFloat},
                                                            {"<i8", torch::kLong},
                                                            {"<i4", torch::kInt},
                                                            {"|u1", torch::kByte},
                                                            {"|b1", torch::kBool}};
  const auto found = known.find(name);
  TORCH_CHECK(found != known.end(), "holds values of type '", name,
              "'; expected little-endian float32, '<f4': array.astype('float32'), or for inputs of whole numbers "
              "int64, int32, uint8 or bool");
  return found->second;
}

inline torch::Tensor parse_npy(const std::string& bytes) {
  constexpr size_t version_at = npy_magic_size, length_at = npy_magic_size + 2;
  TORCH_CHECK(bytes.compare(0, npy_magic_size, npy_magic, npy_magic_size) == 0,
              "is no .npy array (its first bytes are not NumPy's)");
  TORCH_CHECK(bytes.size() > length_at + 4, "is truncated in its header");
  const int version = static_cast<unsigned char>(bytes[version_at]);
  TORCH_CHECK(version >= 1 && version <= 3, "has version ", version, " of the format; expected 1, 2 or 3");
  const size_t length_size = version == 1 ? 2 : 4;
  const size_t header_at = length_at + length_size;
  const size_t header_size = npy_number(bytes, length_at, length_size);
  TORCH_CHECK(header_size <= bytes.size() - header_at, "is truncated in its header");
  constexpr size_t longest = 4096;  // and no header of one array of numbers is near it
  TORCH_CHECK(header_size <= longest, "has a header of ", header_size, " bytes; expected ", longest, " at most");

  const std::string header = bytes.substr(header_at, header_size);
  const c10::ScalarType type = npy_type(npy_value(header, "descr", "['\"]([^'\"]*)['\"]"));
  TORCH_CHECK(npy_value(header, "fortran_order", "(True|False)") == "False",
              "is in Fortran order; expected C order: numpy.ascontiguousarray(array)");
  const std::vector<int64_t> shape = npy_shape(npy_value(header, "shape", "\\(([\\d\\s,]*)\\)"));

  size_t expected = c10::elementSize(type);
  for (const int64_t length : shape) expected *= static_cast<size_t>(length);
  const size_t values_at = header_at + header_size;
  TORCH_CHECK(bytes.size() - values_at == expected,
              bytes.size() - values_at < expected ? "is truncated: " : "is damaged: ", bytes.size() - values_at,
              " bytes of values; expected ", expected, " for its shape");
  torch::Tensor values = torch::empty(shape, type);
  std::memcpy(values.data_ptr(), bytes.data() + values_at, expected);
  return values;
}

}  // namespace detail

/// Reads an array of float32, or of whole numbers or bool.
/// Throws `c10::Error` for a missing or truncated file, for what is no array, for other types and for Fortran order.
inline torch::Tensor read_npy(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  TORCH_CHECK(stream.good(), "array \"", path, "\": no such file, or it may not be read");
  const std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  try {
    return detail::parse_npy(bytes);
  } catch (const c10::Error& error) {
    C10_THROW_ERROR(Error, c10::str("array \"", path, "\": ", error.msg()));
  }
}

/// The bytes of an array file with the tensor's values as float32.
inline std::string npy_bytes(const torch::Tensor& tensor) {
  const torch::Tensor values = tensor.detach().to(torch::kCPU, torch::kFloat).contiguous();
  std::string shape;
  for (const int64_t length : values.sizes()) shape += std::to_string(length) + ", ";
  if (values.dim() > 1) shape.erase(shape.size() - 2);
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + shape + "), }";
  constexpr size_t before_header = detail::npy_magic_size + 4, alignment = 64;
  const size_t used = before_header + header.size() + 1;
  header += std::string((alignment - used % alignment) % alignment, ' ') + '\n';

  std::string bytes(detail::npy_magic, detail::npy_magic_size);
  bytes += {'\x01', '\x00', static_cast<char>(header.size() % 256), static_cast<char>(header.size() / 256)};
  bytes += header;
  bytes.append(static_cast<const char*>(values.data_ptr()), static_cast<size_t>(values.numel()) * sizeof(float));
  return bytes;
}

}  // namespace support
