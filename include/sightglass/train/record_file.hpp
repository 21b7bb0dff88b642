#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace sightglass {

/// What becomes of a file that is there already: the run is resumed, its new records appended; or it is written anew.
enum class Existing { append, replace };

namespace detail {

/// How a file of records looks.
struct LineFormat {
  std::string header;     ///< the first line and its end; empty when there is none
  std::string beginning;  ///< of every other line
  /// The number of the batch that a line belongs to; throws for lines of another kind of file.
  std::function<int64_t(const std::string&)> batch_of;
};

/// A text file of lines that grows while training: each record is flushed, so that a crash loses at most the last one.
///
/// On resume, what a crash left unfinished is cut off: a last line without an end, and a last batch with fewer lines
/// than the one before.
class RecordFile {
 public:
  RecordFile(std::string path, Existing existing, LineFormat format)
      : path_(std::move(path)), format_(std::move(format)) {
    const bool resumed = existing == Existing::append && std::filesystem::exists(path_) && repair() > 0;
    open(resumed ? std::ios::app : std::ios::trunc);
    if (!resumed) write(format_.header);
  }

  void write(const std::string& lines) {
    file_ << lines << std::flush;
    TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be written; is the disk full?");
  }

  /// Cuts off the batches from number `batch` on.
  void forget_from(int64_t batch) {
    file_.close();
    std::string rest;
    for (const Line& line : lines(rest)) {
      if (line.batch < batch) continue;
      std::filesystem::resize_file(path_, line.begin);
      break;
    }
    open(std::ios::app);
  }

  /// The number of the last batch when the file was opened; -1 when it had none.
  int64_t last_batch() const { return last_batch_; }

 private:
  struct Line {
    uintmax_t begin;
    uintmax_t end;
    int64_t batch;
  };

  void open(std::ios::openmode mode) {
    file_.open(path_, mode | std::ios::out | std::ios::binary);
    TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be opened for writing; does its folder exist?");
  }

  /// The whole lines after the header, and what comes after the last line's end.
  std::vector<Line> lines(std::string& rest) const {
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

  /// True where one of the two is the other's beginning.
  static bool agree(const std::string& a, const std::string& b) {
    const size_t size = std::min(a.size(), b.size());
    return a.compare(0, size, b, 0, size) == 0;
  }

  void check(bool ours) const {
    TORCH_CHECK(ours, "statistics: \"", path_,
                "\" is there already and holds something else: it does not begin as a file of statistics does; take "
                "another name, or Existing::replace");
  }

  /// Returns the size of what is left.
  uintmax_t repair() {
    std::string rest;
    std::vector<Line> whole = lines(rest);
    std::map<int64_t, size_t> count;
    for (const Line& line : whole) ++count[line.batch];
    if (!count.empty()) {
      const auto [last, size] = *std::prev(count.end());
      const bool unfinished =
          count.size() > 1 ? size < std::prev(count.end(), 2)->second
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

  std::string path_;
  LineFormat format_;
  std::ofstream file_;
  int64_t last_batch_ = -1;
};

}  // namespace detail
}  // namespace sightglass
