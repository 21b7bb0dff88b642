#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <filesystem>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "options.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/inputs.hpp"

namespace support {

/// Where pictures and maps are written: never over an input, never twice to one place.
class Outputs {
 public:
  /// Throws `UsageError` for an `--out` or `--raw` that cannot serve.
  /// @param files those to explain; they are called by their numbers here
  /// @param others that are read as well: model, labels, ...
  Outputs(const Options& options, std::vector<std::string> files, const std::vector<std::string>& others)
      : out_(options.out), raw_(options.raw), files_(std::move(files)) {
    for (const std::string& file : files_) note_input(file);
    for (const std::string& file : others) note_input(file);
    out_is_file_ = names_picture(out_);
    raw_is_file_ = !raw_.empty() && names_file("--raw", raw_, extension_of(raw_) == ".npy", ".npy");
    if (out_is_file_ && files_.size() > 1)
      throw UsageError("--out \"" + options.out + "\": names one picture, " + std::to_string(files_.size()) +
                       " are to be written; give a folder");
    if (out_is_file_) check_is_no_input("--out", out_);
    if (raw_is_file_) check_is_no_input("--raw", raw_);
    // Before anything is written, so that each file's picture has the same name whatever becomes of the others.
    for (const std::string& file : files_)
      pictures_.push_back(out_is_file_ ? out_ : claim(out_, stem_of(file) + written_suffix(), ".png"));
  }

  /// Of the pictures that are written, with its dot.
  static std::string picture_extension(const Options& options) {
    return names_picture(options.out) ? extension_of(options.out) : ".png";
  }

  /// Whether the file's picture is there.
  bool is_written(size_t file) const {
    std::error_code unreadable;  // such a one cannot be written either, and that is told then
    return fs::exists(pictures_[file], unreadable);
  }

  /// The picture for a file; `index` tells the pictures of one array apart.
  fs::path picture(size_t file, const std::string& index) {
    if (index.empty()) return pictures_[file];
    TORCH_CHECK(!out_is_file_, "--out \"", out_.string(),
                "\": names one picture, this array has several; give a folder");
    return claim(out_, stem_of(files_[file]) + "_" + index + written_suffix(), ".png");
  }

  /// The array for a map; `parts` are those of layer, method and target that tell it from the others of this file.
  fs::path map(size_t file, const std::string& index, const std::string& parts) {
    const std::string name = stem_of(files_[file]) + (index.empty() ? "" : "_" + index);
    if (!raw_is_file_) return claim(raw_, name + parts, ".npy");
    const std::string which = (files_.size() > 1 || !index.empty() ? "_" + name : "") + parts;
    return which.empty() ? raw_ : claim(raw_.parent_path(), raw_.stem().string() + which, ".npy");
  }

 private:
  using FileId = std::pair<dev_t, ino_t>;

  static bool names_file(const char* option, const fs::path& path, bool has_right_extension, const char* expected) {
    if (fs::is_directory(path) || !path.has_filename()) return false;
    if (!has_right_extension && path.has_extension())
      throw UsageError(std::string(option) + " \"" + path.string() + "\": has the extension " +
                       path.extension().string() + "; expected " + expected + ", or a folder (ended by /)");
    return has_right_extension;
  }

  static bool names_picture(const fs::path& out) {
    return !out.empty() && names_file("--out", out, is_picture_name(out), "a picture's (.png, .jpg, ...)");
  }

  static std::string stem_of(const std::string& file) { return fs::path(file).stem().string(); }

  /// A missing file is nobody's.
  void note_input(const std::string& path) {
    struct stat file;
    if (::stat(path.c_str(), &file) == 0) inputs_.emplace(file.st_dev, file.st_ino);
  }
  bool is_input(const fs::path& path) const {
    struct stat file;
    return ::stat(path.c_str(), &file) == 0 && inputs_.count({file.st_dev, file.st_ino}) > 0;
  }

  void check_is_no_input(const char* option, const fs::path& path) const {
    if (is_input(path))
      throw UsageError(std::string(option) + " \"" + path.string() + "\": is a file that is read; give another name");
  }

  /// The name, with a number where it is taken.
  fs::path claim(const fs::path& folder, const std::string& stem, const std::string& extension) {
    fs::path path = folder / (stem + extension);
    for (int i = 2; claimed_.count(path.string()) > 0 || is_input(path); ++i)
      path = folder / (stem + "_" + std::to_string(i) + extension);
    claimed_.insert(path.string());
    return path;
  }

  fs::path out_, raw_;
  bool out_is_file_ = false, raw_is_file_ = false;
  std::vector<std::string> files_;
  std::set<FileId> inputs_;
  std::set<std::string> claimed_;
  std::vector<fs::path> pictures_;  // of each file
};

}  // namespace support
