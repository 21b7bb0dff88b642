#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sightglass/model/detail/cut_point.hpp"
#include "sightglass/model/detail/noting_run.hpp"
#include "sightglass/model/layer_info.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/model/reshape.hpp"
#include "sightglass/trace/limits.hpp"
#include "sightglass/trace/scopes.hpp"

namespace sightglass {

/// Where a model is explained unless told otherwise.
struct Suggestion {
  std::string layer;
  /// What it is among the layers, in words: "the last map", "the last norm that the score depends on".
  std::string reason;
  /// Why a map from there says little; empty for a good layer.
  std::string warning;
};

namespace detail {

/// The layers of a run at which a model may be explained.
class Candidates {
 public:
  using Row = NotingRun::Row;

  Candidates(const Model& model, const at::Tensor& input, const NotingRun& run);

  std::optional<Suggestion> best() const;

 private:
  /// Its rows are the pictures, its map is of the input's proportions and not made of class scores, and its layer does
  /// something.
  bool serves(const Row& seen) const;

  bool has_proportions(const std::vector<int64_t>& shape) const;

  /// Of tokens, those behind the last attention no longer matter to the score: a class token has read them already.
  const Row* last_that_matters(const std::vector<const Row*>& candidates) const;

  static int64_t places_of(const Row& seen);

  /// Whether the highest score depends on the places of each layer's output.
  std::vector<char> have_gradients(const std::vector<const Row*>& seen) const;

  /// Of the highest score of each image, with respect to each layer's output; undefined where there is none.
  std::vector<at::Tensor> gradients_at(const std::vector<const Row*>& seen) const;

  static std::string reason_for(const Row& chosen);

  /// Where most of the model comes behind the last map.
  std::string warning_for(const Row& chosen) const;

  const Model& model_;
  const at::Tensor& input_;
  std::vector<int64_t> classes_;  // the shape of the model's output
  std::vector<const Row*> seen_;
};

}  // namespace detail

/// The layers of `model` that can be explained, in the order in which they end, from one forward pass.
///
/// `input` `[N, C, *S]`. Layers that do not run, give no tensor, or cannot be watched from outside, are left out.
std::vector<LayerInfo> layers(const Model& model, const at::Tensor& input);

/// The usual place for CAM and Grad-CAM: the last layer whose output is seen as a map.
///
/// A map has as many dimensions as the input and its proportions, and is not yet one of class scores (as many channels
/// as the model has classes). A container is preferred to its last child, and what is only passed through (dropout) is
/// left out, since both give the same. Of a transformer with a class token it is the last norm that the score still
/// depends on. `input` `[N, C, *S]`. Throws `c10::Error` where there is none.
Suggestion suggest(const Model& model, const at::Tensor& input);

/// The name of that layer.
inline std::string suggest_layer(const Model& model, const at::Tensor& input) { return suggest(model, input).layer; }

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/layers_inl.hpp"
#endif
