#pragma once

#include <sightglass/metrics/pointing_game.hpp>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "errors.hpp"

namespace support {

/// A picture, a class that is in it, and where.
struct BoxedObject {
  std::string file;
  int64_t label = 0;
  sightglass::Box box;
};

/// What a table of boxes holds; lines that cannot be used are named and left out.
struct BoxTable {
  std::vector<BoxedObject> objects;
  std::vector<std::string> complaints;
};

namespace detail {

/// The fields of a line of comma-separated values; a field in double quotes may hold commas, and `""` for a quote.
inline std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        fields.back() += line[++i];
      else
        quoted = !quoted;
    } else if (line[i] == ',' && !quoted) {
      fields.emplace_back();
    } else if (line[i] != '\r') {
      fields.back() += line[i];
    }
  }
  return fields;
}

inline int64_t whole_number(const std::string& column, const std::string& text) {
  size_t read = 0;
  int64_t number = 0;
  try {
    number = std::stoll(text, &read);
  } catch (const std::logic_error&) {
    read = 0;
  }
  TORCH_CHECK(read > 0 && read == text.size(), column, ": got \"", text, "\", expected a whole number");
  return number;
}

/// A line's fields by the names in the table's first line.
class CsvLine {
 public:
  CsvLine(const std::vector<std::string>& columns, const std::string& line)
      : columns_(columns), fields_(csv_fields(line)) {
    TORCH_CHECK(fields_.size() == columns_.size(), "has ", fields_.size(), " fields, the first line has ",
                columns_.size());
  }
  const std::string& text(const std::string& column) const {
    return fields_[static_cast<size_t>(std::find(columns_.begin(), columns_.end(), column) - columns_.begin())];
  }
  int64_t number(const std::string& column) const { return whole_number(column, text(column)); }

 private:
  const std::vector<std::string>& columns_;
  std::vector<std::string> fields_;
};

}  // namespace detail

/// Whether a table of boxes must say which class is in them; else labels are 0.
enum class Classes { wanted, ignored };

/// Reads a table with the columns file, class_index, x0, y0, x1, y1 (others may be there), pixels of the picture file.
/// Throws `c10::Error` where there is no such file, or a column is missing.
inline BoxTable read_boxes(const std::string& path, Classes classes = Classes::wanted) {
  std::ifstream stream(path);
  std::string line;
  TORCH_CHECK(std::getline(stream, line), "table \"", path, "\": no such file, or it is empty");
  const std::vector<std::string> columns = detail::csv_fields(line);
  std::vector<std::string> needed{"file", "x0", "y0", "x1", "y1"};
  if (classes == Classes::wanted) needed.insert(needed.begin() + 1, "class_index");
  for (const std::string& wanted : needed)
    TORCH_CHECK(std::find(columns.begin(), columns.end(), wanted) != columns.end(), "table \"", path,
                "\": its first line names no column ", wanted);
  BoxTable table;
  for (int64_t number = 2; std::getline(stream, line); ++number) {
    if (line.empty() || line == "\r") continue;
    try {
      const detail::CsvLine fields(columns, line);
      table.objects.push_back({fields.text("file"),
                               classes == Classes::wanted ? fields.number("class_index") : 0,
                               {fields.number("x0"), fields.number("y0"), fields.number("x1"), fields.number("y1")}});
    } catch (const std::exception& error) {
      table.complaints.push_back(path + " line " + std::to_string(number) + ": " + one_line(error));
    }
  }
  return table;
}

}  // namespace support
