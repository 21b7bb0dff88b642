#pragma once

#include <filesystem>
#include <iostream>
#include <sstream>
#include <string>

/// What the code blocks of README.md and docs/ need around them. Each page's blocks stand in the file of its name,
/// whole and in order; cmake/check_docs.cmake fails where one does not.
namespace docs {

/// A folder of its own, in which a page's file names are free; empty at both ends.
class ScratchFolder {
 public:
  explicit ScratchFolder(const std::string& page)
      : before_(std::filesystem::current_path()),
        folder_(std::filesystem::temp_directory_path() / ("sightglass_docs_" + page)) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    std::filesystem::current_path(folder_);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(folder_);
  }

 private:
  std::filesystem::path before_;
  std::filesystem::path folder_;
};

/// Keeps what is printed on standard output.
class Printed {
 public:
  Printed() : before_(std::cout.rdbuf(text_.rdbuf())) {}
  Printed(const Printed&) = delete;
  Printed& operator=(const Printed&) = delete;
  ~Printed() { std::cout.rdbuf(before_); }

  std::string text() const { return text_.str(); }

 private:
  std::ostringstream text_;
  std::streambuf* before_;
};

}  // namespace docs
