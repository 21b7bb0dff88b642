#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "sightglass/opencv/detail/text.hpp"

/// Names of layers, shortened where they are alike.
namespace sightglass::detail {

/// How long a beginning all names share that ends with a dot, so that something is left of each.
inline size_t shared_beginning(const std::vector<std::string>& names) {
  if (names.size() < 2) return 0;
  size_t same = names.front().size();
  for (const std::string& name : names) {
    size_t length = 0;
    while (length < std::min(same, name.size()) && name[length] == names.front()[length]) ++length;
    same = length;
  }
  const size_t dot = same == 0 ? std::string::npos : names.front().rfind('.', same - 1);
  return dot == std::string::npos ? 0 : dot + 1;
}

/// Whether a name begins and ends like this, without overlap.
inline bool is_like(const std::string& name, const std::string& head, const std::string& tail) {
  return name.size() >= head.size() + tail.size() && name.compare(0, head.size(), head) == 0 &&
         name.compare(name.size() - tail.size(), tail.size(), tail) == 0;
}

/// The name number `index` cut in the middle to a width, where what is left belongs to no other name; the cut nearest
/// to the middle. Where there is none, the name's number stands in front.
inline std::string cut_in_middle(const std::vector<std::string>& names, size_t index, double width, double height) {
  const std::string& name = names[index];
  const auto fits = [&](const std::string& text) { return Text{text, height}.width() <= width + 0.5; };
  if (fits(name)) return name;
  std::string best;
  size_t least_imbalance = name.size() + 1, tail = name.size();
  for (size_t head = 1; head < name.size(); ++head) {
    // The longest end that fits beside this beginning; beside a longer one, no longer one does.
    tail = std::min(tail, name.size() - head);
    const auto text = [&] { return name.substr(0, head) + "..." + name.substr(name.size() - tail); };
    while (tail > 0 && (!fits(text()) || name[name.size() - tail] == '.')) --tail;
    if (tail == 0) break;
    const size_t imbalance = head > tail ? head - tail : tail - head;
    if (imbalance >= least_imbalance) continue;
    const std::string beginning = name.substr(0, head), end = name.substr(name.size() - tail);
    const auto alike = std::count_if(names.begin(), names.end(),
                                     [&](const std::string& other) { return is_like(other, beginning, end); });
    if (alike > 1) continue;
    best = text();
    least_imbalance = imbalance;
  }
  return best.empty() ? elide(std::to_string(index + 1) + ": " + name, width, height).text : best;
}

/// The names as texts that fit a width and differ wherever the names do: as they are if all fit; else without the
/// beginning that all share, and cut in the middle where that does not do.
inline std::vector<std::string> told_apart(std::vector<std::string> names, double width, double height) {
  for (std::string& name : names) name = printable(name);
  const auto fits = [&](const std::string& name) { return Text{name, height}.width() <= width + 0.5; };
  if (std::all_of(names.begin(), names.end(), fits)) return names;
  const size_t shared = shared_beginning(names);
  for (std::string& name : names) name.erase(0, shared);
  std::vector<std::string> texts;
  texts.reserve(names.size());
  for (size_t i = 0; i < names.size(); ++i) texts.push_back(cut_in_middle(names, i, width, height));
  return texts;
}

}  // namespace sightglass::detail
