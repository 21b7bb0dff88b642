#pragma once

#include <CLI/CLI.hpp>
#include <sightglass/opencv/image.hpp>

#include <cstdint>
#include <cstdio>
#include <regex>
#include <string>
#include <vector>

#include "support/errors.hpp"
#include "support/preparation.hpp"

namespace support {

/// What the command line says of how pictures become the model's input.
struct PreparationOptions {
  std::string size;               // empty: as the model file says, else 224
  std::string fit;                // the same, stretch
  std::vector<double> mean, std;  // empty: ImageNet's
  std::vector<double> range;      // black and white; empty: all of 8 or 16 bits

  sightglass::ImageOptions image() const {
    return range.empty() ? sightglass::ImageOptions() : sightglass::ImageOptions().range(range[0], range[1]);
  }

  /// Throws `UsageError` for a size, fit, mean, std or range that makes no sense.
  /// @param from_file what holds where the command line says nothing
  Preparation preparation(const FirstConvolution& convolution = {}, const Preparation& from_file = {}) const {
    Preparation wanted = from_file;
    read_size(wanted);
    if (mean.empty() != std.empty()) throw UsageError("--mean and --std: give both, or none");
    for (const std::vector<double>& values : {mean, std})
      if (values.size() > 1 && values.size() != 3)
        throw UsageError((&values == &std ? "--std" : "--mean") + std::string(": has ") +
                         std::to_string(values.size()) + " values, expected one or three, such as 0.485,0.456,0.406");
    for (const double deviation : std)
      if (!(deviation > 0)) throw UsageError("--std: values must be above 0");
    if (!range.empty() && !(range[0] < range[1]))
      throw UsageError("--range: the first value, black, is not below the second, white");
    if (!fit.empty()) wanted.fit = fit_called(fit);
    if (!mean.empty()) {
      wanted.mean = mean;
      wanted.std = std;
    }
    wanted.convolution = convolution;
    return wanted;
  }

 private:
  void read_size(Preparation& wanted) const {
    if (size.empty()) return;
    std::smatch lengths;
    const bool is_size = std::regex_match(size, lengths, std::regex("(\\d{1,4})(?:[xX](\\d{1,4}))?"));
    wanted.height = is_size ? std::stoll(lengths[1]) : 0;
    wanted.width = is_size && lengths[2].matched ? std::stoll(lengths[2]) : wanted.height;
    if (wanted.height < 1 || wanted.width < 1)
      throw UsageError("--size " + size + ": expected pixels, 1 to 9999, or height and width, such as 480x640");
    if (wanted.fit == Fit::own_size) wanted.fit = Fit::stretch;
  }
};

/// What people are told where the command line leaves the preparation open.
/// @param source of what the model file says: "Ultralytics", "torchvision's detectors"; empty: it says nothing
inline std::string told_of(const Preparation& wanted, const std::string& source) {
  const std::string size = wanted.fit == Fit::own_size
                               ? "their own size"
                               : std::to_string(wanted.height) + " x " + std::to_string(wanted.width);
  const std::string fit = wanted.fit == Fit::letterbox ? ", letterbox" : wanted.fit == Fit::crop ? ", crop" : "";
  if (!source.empty())
    return "pictures are prepared as for " + source + " (" + size + fit + ", values 0 to 1), as the model file says";
  const std::string kind =
      wanted.channels() == 1 ? "grey, mean 0.449, std 0.226" : "RGB, mean 0.485,0.456,0.406, std 0.229,0.224,0.225";
  return "pictures are prepared as for ImageNet (" + size + fit + ", " + kind +
         "): the model file does not say how; --size, --mean, --std and --fit do";
}

inline void add_preparation_options(CLI::App& app, PreparationOptions& options) {
  app.add_option("--size", options.size, "Height and width that pictures are brought to, in pixels [224]")
      ->type_name("PIXELS|HxW");
  app.add_option("--fit", options.fit,
                 "Pictures of other proportions: stretch, crop (to the middle) or letterbox (grey bars)\n[stretch]")
      ->type_name("WAY");
  app.add_option("--mean", options.mean, "Is subtracted from values in 0 to 1, one value or three [ImageNet's]")
      ->type_name("R,G,B")
      ->delimiter(',');
  app.add_option("--std", options.std, "By what they are then divided [ImageNet's]")
      ->type_name("R,G,B")
      ->delimiter(',');
  app.add_option("--range", options.range, "The pictures' values that are black and white, such as 0,4095 [all]")
      ->type_name("LOW,HIGH")
      ->delimiter(',')
      ->expected(2);
  for (const char* name : {"--mean", "--std", "--range"}) app.get_option(name)->allow_extra_args(false);
}

}  // namespace support
