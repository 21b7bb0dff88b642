#pragma once

#include <filesystem>
#include <set>
#include <string>
#include <system_error>
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
  /// @param inputs all files that are read: pictures, model, labels.
  Outputs(const Options& options, std::vector<std::string> inputs, size_t picture_count)
      : out_(options.out), raw_(options.raw), inputs_(std::move(inputs)), several_pictures_(picture_count > 1) {
    out_is_file_ = !out_.empty() && names_file("--out", out_, is_picture_name(out_), "a picture's (.png, .jpg, ...)");
    raw_is_file_ = !raw_.empty() && names_file("--raw", raw_, extension_of(raw_) == ".npy", ".npy");
    if (out_is_file_ && several_pictures_)
      throw UsageError("--out \"" + options.out + "\": names one picture, " + std::to_string(picture_count) +
                       " are to be written; give a folder");
    if (out_is_file_) check_is_no_input("--out", out_);
    if (raw_is_file_) check_is_no_input("--raw", raw_);
  }

  bool wants_maps() const { return !raw_.empty(); }

  /// The picture for an input; `index` tells the pictures of one array apart.
  std::filesystem::path picture(const std::string& input, const std::string& index) {
    if (out_is_file_ && index.empty()) return out_;
    TORCH_CHECK(!out_is_file_, "--out \"", out_.string(),
                "\": names one picture, this array has several; give a folder");
    return claim(out_, name_of(input, index) + written_suffix(), ".png");
  }

  /// The array for a map; `parts` are those of layer, method and target that tell it from the others of this input.
  std::filesystem::path map(const std::string& input, const std::string& index, const std::string& parts) {
    if (!raw_is_file_) return claim(raw_, name_of(input, index) + parts, ".npy");
    const std::string which = (several_pictures_ || !index.empty() ? "_" + name_of(input, index) : "") + parts;
    return which.empty() ? raw_ : claim(raw_.parent_path(), raw_.stem().string() + which, ".npy");
  }

 private:
  static bool names_file(const char* option, const fs::path& path, bool has_right_extension, const char* expected) {
    if (fs::is_directory(path) || !path.has_filename()) return false;
    if (!has_right_extension && path.has_extension())
      throw UsageError(std::string(option) + " \"" + path.string() + "\": has the extension " +
                       path.extension().string() + "; expected " + expected + ", or a folder (ended by /)");
    return has_right_extension;
  }

  static std::string name_of(const std::string& input, const std::string& index) {
    return fs::path(input).stem().string() + (index.empty() ? "" : "_" + index);
  }

  bool is_input(const fs::path& path) const {
    for (const std::string& input : inputs_) {
      std::error_code unknown;  // a missing file is nobody's
      if (fs::equivalent(path, input, unknown)) return true;
    }
    return false;
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
  std::vector<std::string> inputs_;
  bool several_pictures_;
  std::set<std::string> claimed_;
};

}  // namespace support
