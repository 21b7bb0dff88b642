#pragma once

#include "sightglass/train/stats_export.hpp"

#include <iomanip>
#include <sstream>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::ostringstream number_stream() {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << std::setprecision(9);
  return out;
}

SIGHTGLASS_INLINE std::string json_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char code[8];
      std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
      quoted += code;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

SIGHTGLASS_INLINE void put_json(std::ostream& out, float value) {
  if (std::isfinite(value)) {
    out << value;
  } else {
    out << "null";
  }
}

SIGHTGLASS_INLINE std::string to_json_line(const BatchRecord& record) {
  std::ostringstream out = number_stream();
  out << json_beginning << record.batch << ", \"layers\": {";
  for (const LayerRecord& layer : record.layers) {
    out << (&layer == record.layers.data() ? "" : ", ") << json_string(layer.name) << ": {";
    const char* between = "";
    for (size_t i = 0; i < figure_count; ++i) {
      if (!layer.figures[i]) continue;
      out << between << '"' << figure_names[i] << "\": ";
      put_json(out, *layer.figures[i]);
      between = ", ";
    }
    if (!layer.histogram.empty()) {
      out << between << "\"histogram\": [";
      for (const float& count : layer.histogram) {
        out << (&count == layer.histogram.data() ? "" : ", ");
        put_json(out, count);
      }
      out << ']';
    }
    out << '}';
  }
  out << "}}\n";
  return out.str();
}

SIGHTGLASS_INLINE BatchRecord JsonLineReader::record() {
  BatchRecord record;
  members([&](const std::string& key) {
    if (key == "batch") {
      record.batch = static_cast<int64_t>(number());
    } else {
      check(key == "layers", "\"layers\"");
      members([&](const std::string& name) { record.layers.push_back(layer(name)); });
    }
  });
  return record;
}

SIGHTGLASS_INLINE LayerRecord JsonLineReader::layer(const std::string& name) {
  LayerRecord layer;
  layer.name = name;
  members([&](const std::string& key) {
    if (key == "histogram") {
      list('[', ']', [&] { layer.histogram.push_back(static_cast<float>(number())); });
      return;
    }
    size_t index = 0;
    while (index < figure_count && key != figure_names[index]) ++index;
    check(index < figure_count, "the name of a figure");
    layer.figures[index] = static_cast<float>(number());
  });
  return layer;
}

SIGHTGLASS_INLINE std::string JsonLineReader::string() {
  take('"');
  std::string text;
  while (at_ < line_.size() && line_[at_] != '"') {
    char c = line_[at_++];
    if (c == '\\') {
      check(at_ < line_.size(), "an escaped character");
      c = line_[at_++];
      if (c == 'u') {
        check(at_ + 4 <= line_.size(), "four digits");
        c = static_cast<char>(std::stoi(line_.substr(at_, 4), nullptr, 16));
        at_ += 4;
      }
    }
    text += c;
  }
  take('"');
  return text;
}

SIGHTGLASS_INLINE double JsonLineReader::number() {
  peek();
  if (line_.compare(at_, 4, "null") == 0) {
    at_ += 4;
    return std::nan("");
  }
  const size_t end = line_.find_first_not_of("+-.0123456789eE", at_);
  std::istringstream in(line_.substr(at_, end - at_));
  in.imbue(std::locale::classic());
  double value = 0;
  in >> value;
  check(!in.fail() && end != std::string::npos, "a number or null");
  at_ = end;
  return value;
}

SIGHTGLASS_INLINE char JsonLineReader::peek() {
  while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\r')) ++at_;
  return at_ < line_.size() ? line_[at_] : '\0';
}

SIGHTGLASS_INLINE void JsonLineReader::take(char wanted) {
  check(peek() == wanted, std::string(1, wanted));
  ++at_;
}

SIGHTGLASS_INLINE void JsonLineReader::check(bool right, const std::string& wanted) const {
  TORCH_CHECK(right, "statistics: not a line of ActivationStats: expected ", wanted, " at character ", at_ + 1, " of ",
              line_.substr(0, 60), line_.size() > 60 ? "..." : "");
}

SIGHTGLASS_INLINE BatchRecord from_json_line(const std::string& line) { return JsonLineReader(line).record(); }

SIGHTGLASS_INLINE int64_t batch_of_json_line(const std::string& line) {
  const size_t begin = json_beginning.size();
  const size_t end = line.find_first_not_of("0123456789", begin);
  TORCH_CHECK(line.compare(0, begin, json_beginning) == 0 && end != begin && end != std::string::npos,
              "statistics: not a line of ActivationStats: ", line.substr(0, 60));
  return std::stoll(line.substr(begin, end - begin));
}

SIGHTGLASS_INLINE std::string csv_header() {
  std::string header = "batch,layer";
  for (const char* name : figure_names) header += std::string(",") + name;
  return header + "\n";
}

SIGHTGLASS_INLINE std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

SIGHTGLASS_INLINE std::string to_csv_rows(const BatchRecord& record) {
  std::ostringstream out = number_stream();
  for (const LayerRecord& layer : record.layers) {
    out << record.batch << ',' << csv_field(layer.name);
    for (const std::optional<float>& figure : layer.figures) {
      out << ',';
      if (figure) out << *figure;
    }
    out << '\n';
  }
  return out.str();
}

SIGHTGLASS_INLINE int64_t batch_of_csv_row(const std::string& row) {
  const size_t end = row.find_first_not_of("0123456789");
  TORCH_CHECK(end != 0 && end != std::string::npos && row[end] == ',',
              "statistics: not a row of ActivationStats: ", row.substr(0, 60));
  return std::stoll(row.substr(0, end));
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE StatsHistory read_stats(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  TORCH_CHECK(in.good(), "read_stats: \"", path, "\" cannot be read; is it there?");
  StatsHistory history;
  std::string line;
  while (std::getline(in, line) && !in.eof()) history.append(detail::from_json_line(line));
  return history;
}

}  // namespace sightglass
