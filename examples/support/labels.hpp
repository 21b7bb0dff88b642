#pragma once

#include <c10/util/Exception.h>
#include <sightglass/hooks/nearest.hpp>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "errors.hpp"

namespace support {

/// The names of a model's classes: line k of a file, from 0, is class k.
class Labels {
 public:
  Labels() = default;
  explicit Labels(std::vector<std::string> names) : names_(std::move(names)) {}

  static Labels read(const std::string& path) {
    std::ifstream stream(path);
    std::vector<std::string> names;
    for (std::string line; std::getline(stream, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      names.push_back(line);
    }
    while (!names.empty() && names.back().empty()) names.pop_back();
    TORCH_CHECK(!names.empty(), "labels \"", path, "\": no such file, or it holds no lines; expected one name a line");
    return Labels(std::move(names));
  }

  size_t size() const { return names_.size(); }

  /// The class's name; empty when there is none.
  std::string name(int64_t index) const {
    return index >= 0 && index < static_cast<int64_t>(names_.size()) ? names_[static_cast<size_t>(index)] : "";
  }

  /// The class's name with its index, `tabby (281)`; without a name, `class 281`.
  std::string title(int64_t index) const {
    const std::string found = name(index);
    return found.empty() ? "class " + std::to_string(index) : found + " (" + std::to_string(index) + ")";
  }

  /// The class that a text names: an index, or a name (case does not matter).
  /// Throws `UsageError` for an unknown name, with the nearest, and for one that several classes have.
  int64_t index(const std::string& text) const {
    if (is_number(text)) return std::stoll(text);
    if (names_.empty())
      throw UsageError("target \"" + text + "\": a class's name needs --labels FILE; or give its index");
    std::vector<size_t> found;
    for (size_t i = 0; i < names_.size(); ++i)
      if (lower(names_[i]) == lower(text)) found.push_back(i);
    if (found.empty())
      throw UsageError("target \"" + text + "\": no such label; nearest: " + sightglass::nearest(text, names_));
    if (found.size() > 1)
      throw UsageError("target \"" + text + "\": several classes have this label, " + std::to_string(found[0]) +
                       " and " + std::to_string(found[1]) + " among them; give the index");
    return static_cast<int64_t>(found.front());
  }

 private:
  static bool is_number(const std::string& text) {
    return !text.empty() && text.size() < 10 &&
           std::all_of(text.begin(), text.end(), [](unsigned char letter) { return std::isdigit(letter) != 0; });
  }

  static std::string lower(std::string text) {
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    return text;
  }

  std::vector<std::string> names_;
};

/// What the model calls its output number `index` of `count`.
inline std::string title_of(int64_t index, int64_t count, const Labels& labels) {
  return count == 1 && labels.name(index).empty() ? "its output" : labels.title(index);
}

}  // namespace support
