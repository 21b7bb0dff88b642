#pragma once

#include "sightglass/trace/nearest.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

SIGHTGLASS_INLINE std::string letters_of(const std::string& text) {
  std::string letters;
  for (const char plain : text) {
    const auto letter = static_cast<unsigned char>(plain);
    if (std::isalnum(letter) != 0 || letter == '.' || letter >= 0x80)
      letters += static_cast<char>(std::tolower(letter));
  }
  return letters;
}

SIGHTGLASS_INLINE std::string nearest(const std::string& wanted, const std::vector<std::string>& names) {
  using Rank = std::pair<size_t, size_t>;  // edits, and the length of those that need none
  const std::string word = letters_of(wanted);
  std::vector<std::pair<Rank, const std::string*>> ranked;
  for (const std::string& name : names) {
    const std::string letters = letters_of(name);
    const bool holds = letters.find(word) != std::string::npos;
    ranked.emplace_back(holds ? Rank(0, letters.size()) : Rank(edit_distance(word, letters), 0), &name);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(3, ranked.size()); ++i)
    list += (i == 0 ? "\"" : ", \"") + *ranked[i].second + "\"";
  return list.empty() ? "none" : list;
}

}  // namespace sightglass::detail
