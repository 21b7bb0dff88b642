#pragma once

#include "sightglass/model/detail/table.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE Table::Table(std::vector<Column> columns) : columns_(std::move(columns)) {
  std::vector<std::string> titles;
  for (const Column& column : columns_) titles.push_back(column.title);
  add(std::move(titles));
  rule();
}

SIGHTGLASS_INLINE void Table::add(std::vector<std::string> cells) { lines_.push_back(std::move(cells)); }

SIGHTGLASS_INLINE std::string Table::text() const {
  std::vector<size_t> widths(columns_.size(), 0);
  for (const auto& cells : lines_) {
    for (size_t i = 0; i < cells.size(); ++i) widths[i] = std::max(widths[i], cells[i].size());
  }
  size_t whole = 2 * (widths.size() - 1);
  for (const size_t width : widths) whole += width;
  std::string all;
  for (const auto& cells : lines_) all += (cells.empty() ? std::string(whole, '-') : line(cells, widths)) + "\n";
  return all;
}

SIGHTGLASS_INLINE std::string Table::line(const std::vector<std::string>& cells,
                                          const std::vector<size_t>& widths) const {
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) {
    const std::string space(widths[i] - cells[i].size(), ' ');
    text += (i == 0 ? "" : "  ") + (columns_[i].align == Align::left ? cells[i] + space : space + cells[i]);
  }
  return text.erase(text.find_last_not_of(' ') + 1);
}

SIGHTGLASS_INLINE std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  for (auto place = static_cast<int64_t>(digits.size()) - 3; place > (number < 0 ? 1 : 0); place -= 3) {
    digits.insert(static_cast<size_t>(place), ",");
  }
  return digits;
}

SIGHTGLASS_INLINE std::string with_unit(double number, double factor, const std::array<const char*, 5>& units) {
  size_t unit = 0;
  while (number >= 999.5 && unit + 1 < units.size()) {
    number /= factor;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.*f%s", unit == 0 ? 0 : (number < 9.995 ? 2 : (number < 99.95 ? 1 : 0)), number,
                units[unit]);
  return text;
}

SIGHTGLASS_INLINE std::string short_count(int64_t count) {
  return with_unit(static_cast<double>(count), 1000, {"", " k", " M", " G", " T"});
}

SIGHTGLASS_INLINE std::string short_bytes(int64_t bytes) {
  return with_unit(static_cast<double>(bytes), 1024, {" B", " KiB", " MiB", " GiB", " TiB"});
}

}  // namespace sightglass::detail
