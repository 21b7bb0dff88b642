#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace support {

namespace detail {

/// What tells words apart: letters and digits, in lower case, and the bytes of letters that ASCII lacks.
inline std::string letters_of(const std::string& text) {
  std::string letters;
  for (const unsigned char letter : text)
    if (std::isalnum(letter) != 0 || letter >= 0x80) letters += static_cast<char>(std::tolower(letter));
  return letters;
}

/// 0 where `other` holds the wanted word; else how many of its letters are not at the other's beginning or end, and
/// one.
inline size_t letters_apart(const std::string& wanted, const std::string& other) {
  if (other.find(wanted) != std::string::npos) return 0;
  const size_t shorter = std::min(wanted.size(), other.size());
  size_t first = 0, last = 0;
  while (first < shorter && wanted[first] == other[first]) ++first;
  while (first + last < shorter && wanted[wanted.size() - 1 - last] == other[other.size() - 1 - last]) ++last;
  return wanted.size() - first - last + 1;
}

}  // namespace detail

/// Of `names`, the three that a mistyped word may have meant, as `"circle", "cross"`: those that hold it, then those
/// that begin and end most like it, shorter ones first; case and punctuation do not count.
inline std::string nearest(const std::string& text, const std::vector<std::string>& names) {
  using Ranked = std::pair<std::pair<size_t, size_t>, const std::string*>;  // letters apart, length
  const std::string wanted = detail::letters_of(text);
  std::vector<Ranked> ranked;
  for (const std::string& name : names) {
    const std::string letters = detail::letters_of(name);
    ranked.push_back({{detail::letters_apart(wanted, letters), letters.size()}, &name});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) { return a.first < b.first; });
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(3, ranked.size()); ++i)
    list += (i == 0 ? "\"" : ", \"") + *ranked[i].second + "\"";
  return list;
}

}  // namespace support
