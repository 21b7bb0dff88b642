#pragma once

#include "sightglass/train/record_file.hpp"

#include <filesystem>

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE RecordFile::RecordFile(std::string path, Existing existing, LineFormat format)
    : path_(std::move(path)), format_(std::move(format)) {
  const bool resumed = existing == Existing::append && std::filesystem::exists(path_) && repair() > 0;
  open(resumed ? std::ios::app : std::ios::trunc);
  if (!resumed) write(format_.header);
}

SIGHTGLASS_INLINE void RecordFile::write(const std::string& lines) {
  file_ << lines << std::flush;
  TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be written; is the disk full?");
}

SIGHTGLASS_INLINE void RecordFile::forget_from(int64_t batch) {
  file_.close();
  std::string rest;
  for (const Line& line : lines(rest)) {
    if (line.batch < batch) continue;
    std::filesystem::resize_file(path_, line.begin);
    break;
  }
  open(std::ios::app);
}

SIGHTGLASS_INLINE void RecordFile::open(std::ios::openmode mode) {
  file_.open(path_, mode | std::ios::out | std::ios::binary);
  TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be opened for writing; does its folder exist?");
}

SIGHTGLASS_INLINE std::vector<RecordFile::Line> RecordFile::lines(std::string& rest) const {
  std::ifstream in(path_, std::ios::binary);
  std::vector<Line> found;
  uintmax_t begin = 0;
  for (std::string line; std::getline(in, line); begin += line.size() + 1) {
    if (in.eof()) {
      rest = line;
      check(begin > 0 || agree(line, format_.header.empty() ? format_.beginning : format_.header));
    } else if (begin == 0 && !format_.header.empty()) {
      check(line + "\n" == format_.header);
    } else {
      check(begin > 0 || line.compare(0, format_.beginning.size(), format_.beginning) == 0);
      found.push_back({begin, begin + line.size() + 1, format_.batch_of(line)});
    }
  }
  return found;
}

SIGHTGLASS_INLINE bool RecordFile::agree(const std::string& a, const std::string& b) {
  const size_t size = std::min(a.size(), b.size());
  return a.compare(0, size, b, 0, size) == 0;
}

SIGHTGLASS_INLINE void RecordFile::check(bool ours) const {
  TORCH_CHECK(ours, "statistics: \"", path_,
              "\" is there already and holds something else: it does not begin as a file of statistics does; take "
              "another name, or Existing::replace");
}

SIGHTGLASS_INLINE uintmax_t RecordFile::repair() {
  std::string rest;
  std::vector<Line> whole = lines(rest);
  std::map<int64_t, size_t> count;
  for (const Line& line : whole) ++count[line.batch];
  if (!count.empty()) {
    const auto [last, size] = *std::prev(count.end());
    const bool unfinished = count.size() > 1
                                ? size < std::prev(count.end(), 2)->second
                                : !rest.empty() && format_.beginning.empty() && agree(rest, std::to_string(last) + ",");
    if (unfinished) {
      whole.resize(whole.size() - size);
      count.erase(last);
    }
  }
  if (!count.empty()) last_batch_ = std::prev(count.end())->first;
  const uintmax_t all = std::filesystem::file_size(path_);
  const uintmax_t left = !whole.empty() ? whole.back().end : all < format_.header.size() ? 0 : format_.header.size();
  std::filesystem::resize_file(path_, left);
  return left;
}

}  // namespace sightglass::detail
