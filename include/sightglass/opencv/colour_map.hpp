#pragma once

#include <c10/util/Exception.h>
#include <c10/util/StringUtil.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace sightglass {

/// How numbers become colours. `blue_red` is for signed values: ColorBrewer's RdBu turned round (matplotlib's RdBu_r),
/// blue below the middle, red above, near white at it.
enum class ColourMap { magma, inferno, plasma, viridis, cividis, turbo, jet, hot, grey, blue_red };

namespace detail {

struct NamedColourMap {
  ColourMap map;
  const char* name;
  std::optional<int> opencv;  // cv::ColormapTypes, where OpenCV has it
};

inline constexpr std::array<NamedColourMap, 10> named_colour_maps = {{
    {ColourMap::magma, "magma", cv::COLORMAP_MAGMA},
    {ColourMap::inferno, "inferno", cv::COLORMAP_INFERNO},
    {ColourMap::plasma, "plasma", cv::COLORMAP_PLASMA},
    {ColourMap::viridis, "viridis", cv::COLORMAP_VIRIDIS},
    {ColourMap::cividis, "cividis", cv::COLORMAP_CIVIDIS},
    {ColourMap::turbo, "turbo", cv::COLORMAP_TURBO},
    {ColourMap::jet, "jet", cv::COLORMAP_JET},
    {ColourMap::hot, "hot", cv::COLORMAP_HOT},
    {ColourMap::grey, "grey", std::nullopt},
    {ColourMap::blue_red, "blue-red", std::nullopt},
}};

inline const NamedColourMap& named(ColourMap map) {
  for (const NamedColourMap& entry : named_colour_maps)
    if (entry.map == map) return entry;
  TORCH_CHECK(false, "colour map ", static_cast<int>(map), ": no such map; expected a value of sightglass::ColourMap");
}

/// The 256 colours of `blue_red`, `[256, 1]` BGR: straight lines between ColorBrewer's eleven.
inline cv::Mat blue_red_table() {
  constexpr std::array<std::array<double, 3>, 11> rgb = {{{5, 48, 97},
                                                          {33, 102, 172},
                                                          {67, 147, 195},
                                                          {146, 197, 222},
                                                          {209, 229, 240},
                                                          {247, 247, 247},
                                                          {253, 219, 199},
                                                          {244, 165, 130},
                                                          {214, 96, 77},
                                                          {178, 24, 43},
                                                          {103, 0, 31}}};
  cv::Mat table(256, 1, CV_8UC3);
  for (int level = 0; level < 256; ++level) {
    const double place = level / 255.0 * static_cast<double>(rgb.size() - 1);
    const size_t below = std::min(static_cast<size_t>(place), rgb.size() - 2);
    const double share = place - static_cast<double>(below);
    for (size_t c = 0; c < 3; ++c)
      table.at<cv::Vec3b>(level)[static_cast<int>(2 - c)] =
          cv::saturate_cast<uchar>((1 - share) * rgb[below][c] + share * rgb[below + 1][c]);
  }
  return table;
}

}  // namespace detail

/// The name of a colour map, as `colour_map` takes it.
inline const char* to_string(ColourMap map) { return detail::named(map).name; }

/// The names of all colour maps.
inline std::vector<std::string> colour_map_names() {
  std::vector<std::string> names;
  names.reserve(detail::named_colour_maps.size());
  for (const detail::NamedColourMap& entry : detail::named_colour_maps) names.emplace_back(entry.name);
  return names;
}

/// The colour map of a name; `gray` is `grey`. Throws `c10::Error` for an unknown name, with the list of names.
inline ColourMap colour_map(const std::string& name) {
  for (const detail::NamedColourMap& entry : detail::named_colour_maps)
    if (name == entry.name || (name == "gray" && entry.map == ColourMap::grey)) return entry.map;
  TORCH_CHECK(false, "colour map \"", name, "\": no such map; expected one of ", c10::Join(", ", colour_map_names()));
}

/// Values as colours, `CV_8UC3` BGR of the same size. Throws `c10::Error` for another type.
///
/// @param values `CV_8UC1`, 0 to 255, or `CV_32FC1`, 0 to 1 (what lies outside is clamped).
inline cv::Mat colourise(const cv::Mat& values, ColourMap map = ColourMap::magma) {
  TORCH_CHECK(!values.empty() && (values.type() == CV_8UC1 || values.type() == CV_32FC1),
              "values: ", values.empty() ? "are empty" : "are of type " + cv::typeToString(values.type()),
              "; expected CV_8UC1 (0 to 255) or CV_32FC1 (0 to 1)");
  cv::Mat levels = values, colours;
  if (values.depth() == CV_32F) values.convertTo(levels, CV_8U, 255);
  if (map == ColourMap::grey)
    cv::cvtColor(levels, colours, cv::COLOR_GRAY2BGR);
  else if (map == ColourMap::blue_red)
    cv::applyColorMap(levels, colours, detail::blue_red_table());
  else
    cv::applyColorMap(levels, colours, detail::named(map).opencv.value());
  return colours;
}

}  // namespace sightglass
