#pragma once

#include <sightglass/sightglass.hpp>

#include <functional>
#include <string>
#include <vector>

#include "errors.hpp"

namespace support {

/// A method of the library by the word that names it on the command line.
struct Method {
  std::string name;
  std::string summary;
  std::function<sightglass::Explanation(const sightglass::Pass&, size_t layer, const sightglass::Target&)> explain;
};

template <class Kind>
Method method(std::string name, std::string summary) {
  return {std::move(name), std::move(summary),
          [](const sightglass::Pass& pass, size_t layer, const sightglass::Target& target) {
            return pass.explain(layer, Kind{}, target);
          }};
}

/// All methods; a new one is a line here.
inline const std::vector<Method>& methods() {
  static const std::vector<Method> all{
      method<sightglass::Cam>("cam", "weights of the last linear layer, after global average pooling (Zhou 2016)"),
      method<sightglass::GradCam>("grad-cam", "weights are the mean gradients; any layer (Selvaraju 2017)"),
  };
  return all;
}

inline std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method& entry : methods()) names.push_back(entry.name);
  return names;
}

/// @throws UsageError for an unknown name, with the nearest.
inline const Method& method_called(const std::string& name) {
  for (const Method& entry : methods())
    if (entry.name == name) return entry;
  throw UsageError("method \"" + name + "\": no such method; nearest: " +
                   sightglass::detail::nearest(name, method_names()) + "; --list-methods lists them all");
}

}  // namespace support
