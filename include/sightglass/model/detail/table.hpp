#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

/// Tables and numbers in plain text.
namespace sightglass::detail {

enum class Align { left, right };

/// Lines of cells under titles, columns as wide as their widest cell.
class Table {
 public:
  struct Column {
    std::string title;
    Align align;
  };

  explicit Table(std::vector<Column> columns);

  /// One cell a column.
  void add(std::vector<std::string> cells);
  /// A line of dashes.
  void rule() { lines_.emplace_back(); }

  std::string text() const;

 private:
  std::string line(const std::vector<std::string>& cells, const std::vector<size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> lines_;  // an empty one is a rule
};

/// A whole number with commas: `11,689,512`.
std::string grouped(int64_t number);

/// A number with four digits at most and a unit: the last one that it reaches, `factor` times the one before.
std::string with_unit(double number, double factor, const std::array<const char*, 5>& units);

/// `1.81 G` of 1,814,073,344.
std::string short_count(int64_t count);

/// `3.06 MiB` of 3,211,264.
std::string short_bytes(int64_t bytes);

}  // namespace sightglass::detail

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/detail/table_inl.hpp"
#endif
