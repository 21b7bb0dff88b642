#pragma once

#include <c10/util/Exception.h>

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

/// A text file of lines that grows while training: each record is flushed, so that a crash loses at most the last one.
///
/// On resume, what a crash left unfinished is cut off: a last line without an end, and a last batch with fewer lines
/// than the one before.
class RecordFile {
 public:
  /// `batch_of`: the number of the batch that a line belongs to; throws for lines of another kind of file.
  RecordFile(std::string path, Existing existing, std::string header,
             std::function<int64_t(const std::string&)> batch_of)
      : path_(std::move(path)), header_(std::move(header)), batch_of_(std::move(batch_of)) {
    const bool resumed = existing == Existing::append && std::filesystem::exists(path_) && repair() > 0;
    open(resumed ? std::ios::app : std::ios::trunc);
    if (!resumed) write(header_);
  }

  void write(const std::string& lines) {
    file_ << lines << std::flush;
    TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be written; is the disk full?");
  }

  /// Cuts off the batches from number `batch` on.
  void forget_from(int64_t batch) {
    file_.close();
    const std::vector<Line> all = lines();
    for (const Line& line : all) {
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
    int64_t batch;
  };

  void open(std::ios::openmode mode) {
    file_.open(path_, mode | std::ios::out | std::ios::binary);
    TORCH_CHECK(file_.good(), "statistics: \"", path_, "\" cannot be opened for writing; does its folder exist?");
  }

  /// The whole lines after the header.
  std::vector<Line> lines() const {
    std::ifstream in(path_, std::ios::binary);
    std::vector<Line> found;
    std::string line;
    uintmax_t begin = 0;
    while (std::getline(in, line) && !in.eof()) {
      if (begin == 0 && !header_.empty()) {
        TORCH_CHECK(line + "\n" == header_, "statistics: \"", path_,
                    "\" is there already and holds something else: its first line is not that of a table of "
                    "statistics; take another name, or Existing::replace");
      } else {
        found.push_back({begin, batch_of_(line)});
      }
      begin += line.size() + 1;
    }
    return found;
  }

  /// Returns the size of what is left.
  uintmax_t repair() {
    std::vector<Line> whole = lines();
    uintmax_t size = 0;
    {
      std::ifstream in(path_, std::ios::binary);
      std::string line;
      while (std::getline(in, line) && !in.eof()) size += line.size() + 1;
    }
    const bool broken_off = size < std::filesystem::file_size(path_);
    std::map<int64_t, size_t> count;
    for (const Line& line : whole) ++count[line.batch];
    if (!count.empty()) {
      const auto last = std::prev(count.end());
      const bool unfinished =
          count.size() > 1 ? last->second < std::prev(last)->second : broken_off && !header_.empty();
      if (unfinished) {
        size = whole[whole.size() - last->second].begin;
        count.erase(last);
      }
    }
    if (!count.empty()) last_batch_ = std::prev(count.end())->first;
    std::filesystem::resize_file(path_, size);
    return size;
  }

  std::string path_;
  std::string header_;
  std::function<int64_t(const std::string&)> batch_of_;
  std::ofstream file_;
  int64_t last_batch_ = -1;
};

}  // namespace detail
}  // namespace sightglass
