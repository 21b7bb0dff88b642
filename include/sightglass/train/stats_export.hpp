#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iosfwd>
#include <locale>
#include <string>
#include <utility>

#include "sightglass/train/stats_history.hpp"

/// Statistics as text: JSON lines (one object a recorded batch) and CSV (one row a batch and layer).
namespace sightglass {

namespace detail {

std::ostringstream number_stream();

std::string json_string(const std::string& text);

/// JSON has no NaN and no infinity: both are null.
void put_json(std::ostream& out, float value);

inline const std::string json_beginning = "{\"batch\": ";

/// `{"batch": 20, "layers": {"conv1": {"mean": 0.1, "std": 0.9, ..., "histogram": [12, 0]}}}` and a line's end.
std::string to_json_line(const BatchRecord& record);

/// Reads the JSON that `to_json_line` writes, whatever its spaces; keys it does not know are an error.
class JsonLineReader {
 public:
  explicit JsonLineReader(const std::string& line) : line_(line) {}

  BatchRecord record();

 private:
  LayerRecord layer(const std::string& name);

  template <class Element>
  void list(char open, char close, Element&& element) {
    take(open);
    if (peek() == close) return take(close);
    for (;;) {
      element();
      if (peek() == close) return take(close);
      take(',');
    }
  }

  template <class Member>
  void members(Member&& member) {
    list('{', '}', [&] {
      const std::string key = string();
      take(':');
      member(key);
    });
  }

  std::string string();

  double number();

  char peek();
  void take(char wanted);
  void check(bool right, const std::string& wanted) const;

  const std::string& line_;
  size_t at_ = 0;
};

BatchRecord from_json_line(const std::string& line);

/// The number of a line's batch, without reading the rest.
int64_t batch_of_json_line(const std::string& line);

std::string csv_header();

std::string csv_field(const std::string& text);

/// One row a layer; what was not requested is empty. Histograms are in the JSON lines only.
std::string to_csv_rows(const BatchRecord& record);

/// The number at the beginning of a row.
int64_t batch_of_csv_row(const std::string& row);

}  // namespace detail

/// Reads what `ActivationStats` wrote as JSON lines. A last line that a crash broke off is left out. NaN stands for
/// what was not finite; which channels were dead is not in the file.
StatsHistory read_stats(const std::string& path);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/stats_export_inl.hpp"
#endif
