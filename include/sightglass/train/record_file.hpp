#pragma once

#include <c10/util/Exception.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
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
  /// The number of the batch that a line belongs to. Throws `c10::Error` for lines of another
  /// kind of file.
  std::function<int64_t(const std::string&)> batch_of;
};

/// A text file of lines that grows while training: each record is flushed, so that a crash loses at most the last one.
///
/// On resume, what a crash left unfinished is cut off: a last line without an end, and a last batch with fewer lines
/// than the one before.
class RecordFile {
 public:
  RecordFile(std::string path, Existing existing, LineFormat format);

  void write(const std::string& lines);

  /// Cuts off the batches from number `batch` on.
  void forget_from(int64_t batch);

  /// The number of the last batch when the file was opened; none when it had none.
  std::optional<int64_t> last_batch() const { return last_batch_; }

 private:
  struct Line {
    uintmax_t begin;
    uintmax_t end;
    int64_t batch;
  };

  void open(std::ios::openmode mode);

  /// The whole lines after the header, and what comes after the last line's end.
  std::vector<Line> lines(std::string& rest) const;

  /// True where one of the two is the other's beginning.
  static bool agree(const std::string& a, const std::string& b);

  void check(bool ours) const;

  /// Returns the size of what is left.
  uintmax_t repair();

  std::string path_;
  LineFormat format_;
  std::ofstream file_;
  std::optional<int64_t> last_batch_;
};

}  // namespace detail
}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/record_file_inl.hpp"
#endif
