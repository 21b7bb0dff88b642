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

SIGHTGLASS_INLINE std::string nearest(const std::string& wanted, const std::vector<std::string>& names) {
  std::vector<std::pair<size_t, const std::string*>> ranked;
  for (const std::string& name : names) ranked.emplace_back(edit_distance(wanted, name), &name);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string list;
  for (size_t i = 0; i < std::min<size_t>(3, ranked.size()); ++i)
    list += (i == 0 ? "\"" : ", \"") + *ranked[i].second + "\"";
  return list.empty() ? "none" : list;
}

}  // namespace sightglass::detail
