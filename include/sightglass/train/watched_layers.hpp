#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "sightglass/hooks/find_layers.hpp"

namespace sightglass {

/// Whether layers without parameters of their own (activations, pooling) are among the layers watched by default.
enum class Paramless { skip, include };

/// Which layers of a model are watched in training: its leaves with parameters, unless told otherwise.
///
/// By default, layers that cannot be watched from outside are left out with a warning; those asked for are an error.
class WatchedLayers {
 public:
  /// The leaves with parameters, or all leaves.
  WatchedLayers(Paramless paramless = Paramless::skip)  // NOLINT(google-explicit-constructor)
      : choice_(paramless) {}
  /// These layers.
  WatchedLayers(std::vector<Layer> layers);  // NOLINT
  /// The layers of these names.
  WatchedLayers(std::vector<std::string> names);  // NOLINT
  /// The same.
  WatchedLayers(std::initializer_list<const char*> names)  // NOLINT
      : choice_(std::vector<std::string>(names.begin(), names.end())) {}
  /// The layers for which it is true.
  WatchedLayers(LayerFilter filter);  // NOLINT

  /// The layers of `root` that were chosen, each with its path in the model for a name.
  std::vector<Layer> of(const std::shared_ptr<torch::nn::Module>& root) const;

 private:
  std::vector<Layer> candidates(const std::shared_ptr<torch::nn::Module>& root) const;

  static std::vector<Layer> leaves_of(const std::shared_ptr<torch::nn::Module>& root, Paramless paramless);

  /// A layer given by its handle does not know its path.
  static std::string name_in(const torch::nn::Module& root, const Layer& layer);

  std::variant<Paramless, std::vector<Layer>, std::vector<std::string>, LayerFilter> choice_;
};

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/train/watched_layers_inl.hpp"
#endif
