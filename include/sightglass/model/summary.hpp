#pragma once

#include <ATen/ATen.h>
#include <c10/util/StringUtil.h>

#include <algorithm>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "sightglass/model/detail/noting_run.hpp"
#include "sightglass/model/detail/table.hpp"
#include "sightglass/model/layer_info.hpp"
#include "sightglass/model/model.hpp"
#include "sightglass/trace/nearest.hpp"

namespace sightglass {

namespace detail {

/// `Conv2d` of `torch::nn::Conv2dImpl`, `Net` of `(anonymous namespace)::NetImpl`.
std::string short_type(std::string type);

}  // namespace detail

/// What a model consists of and costs, as `summary` finds it.
struct Summary {
  std::vector<LayerInfo> layers;  ///< in the order of registration, each before what stands inside of it
  /// Of what it was given.
  std::vector<int64_t> input_shape;
  /// Of what it gave.
  std::vector<int64_t> output_shape;
  /// Numbers in all parameters.
  int64_t parameters = 0;
  /// Of these, with `requires_grad`.
  int64_t trainable = 0;
  int64_t multiply_adds = 0;     ///< of the whole forward pass, also of operations outside of all layers
  int64_t activation_bytes = 0;  ///< the sum over layers without submodules
  /// Operations that ran and multiply matrices inside (`aten::lstm`), which are not counted.
  std::vector<std::string> not_counted;

  /// The layer called `name`. Throws `c10::Error` for an unknown one, with the nearest.
  const LayerInfo& operator[](const std::string& name) const;

  /// A table in plain text, a line a layer, with the totals below.
  std::string text() const;
};

/// Prints its `text()`.
inline std::ostream& operator<<(std::ostream& stream, const Summary& summary) { return stream << summary.text(); }

/// What `model` consists of and costs, from one forward pass on `input`: for each layer its name, type, output shape,
/// parameters, multiply-adds and the memory of its activations.
///
/// Multiply-adds are counted where they happen, in convolutions, matrix products (`Linear` and attention are such) and
/// bilinear forms, whether in layers or functions, for `torch::nn` and TorchScript alike; products with padding count,
/// additions of a bias, normalisation, activations, pooling and interpolation do not, nor does what recurrent layers
/// and `einsum` do inside (`Summary::not_counted` names what ran of these). A layer has what reads its weights; a
/// product of activations belongs to the innermost layer under way, or to the whole where that layer cannot be watched.
///
/// Nothing of the model changes; it runs without gradients. Throws `c10::Error` in training mode, where the pass would
/// change batch norm.
/// @param input `[N, ...]`: all figures are for this batch.
Summary summary(const Model& model, const at::Tensor& input);

}  // namespace sightglass

#ifndef SIGHTGLASS_COMPILED
#include "sightglass/model/summary_inl.hpp"
#endif
