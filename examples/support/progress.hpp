#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <string>
#include <utility>

namespace support {

/// A bar on standard error that fills as work is done, and is gone when the work is. Nothing is drawn where standard
/// error is no terminal, or where there is only one thing to do.
class Progress {
 public:
  Progress(std::string title, size_t total)
      : title_(std::move(title)), total_(total), visible_(total > 1 && ::isatty(STDERR_FILENO) == 1) {
    draw();
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress() { erase(); }

  /// One more thing is done.
  void advance() {
    ++done_;
    draw();
  }

  /// Writes a line without tearing the bar: to standard error, or to standard output.
  void say(const std::string& line, std::FILE* stream = stderr) {
    erase();
    std::fprintf(stream, "%s\n", line.c_str());
    std::fflush(stream);
    draw();
  }

 private:
  void draw() const {
    if (!visible_) return;
    const size_t filled = total_ == 0 ? width : done_ * width / total_;
    const std::string bar = std::string(filled, '#') + std::string(width - filled, '.');
    std::fprintf(stderr, "\r%s [%s] %zu/%zu", title_.c_str(), bar.c_str(), done_, total_);
    std::fflush(stderr);
  }

  void erase() const {
    if (visible_) std::fprintf(stderr, "\r\033[K");
  }

  static constexpr size_t width = 32;
  std::string title_;
  size_t total_;
  size_t done_ = 0;
  bool visible_;
};

}  // namespace support
