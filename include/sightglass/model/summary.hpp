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
inline std::string short_type(std::string type) {
  const size_t arguments = type.find('<');
  const size_t scope = type.rfind("::", arguments);
  if (scope != std::string::npos) type.erase(0, scope + 2);
  const std::string impl = "Impl";
  if (type.size() > impl.size() && type.compare(type.size() - impl.size(), impl.size(), impl) == 0) {
    type.erase(type.size() - impl.size());
  }
  return type;
}

}  // namespace detail

/// What a model consists of and costs, as `summary` finds it.
struct Summary {
  std::vector<LayerInfo> layers;  ///< in the order of registration, each before what stands inside of it
  std::vector<int64_t> input_shape;
  std::vector<int64_t> output_shape;
  int64_t parameters = 0;
  int64_t trainable = 0;
  int64_t multiply_adds = 0;     ///< of the whole forward pass, also of operations outside of all layers
  int64_t activation_bytes = 0;  ///< the sum over layers without submodules
  /// Operations that ran and multiply matrices inside (`aten::lstm`), which are not counted.
  std::vector<std::string> not_counted;

  /// The layer called `name`. Throws for an unknown one, with the nearest.
  const LayerInfo& operator[](const std::string& name) const {
    const auto found =
        std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return layer.name == name; });
    std::vector<std::string> names;
    for (const LayerInfo& layer : layers) names.push_back(layer.name);
    TORCH_CHECK(found != layers.end(), "layer \"", name,
                "\": not in the summary; nearest: ", detail::nearest(name, names));
    return *found;
  }

  /// A table in plain text, a line a layer, with the totals below.
  std::string text() const;
};

inline std::string Summary::text() const {
  detail::Table table({{"layer", detail::Align::left},
                       {"type", detail::Align::left},
                       {"output", detail::Align::left},
                       {"parameters", detail::Align::right},
                       {"trainable", detail::Align::right},
                       {"multiply-adds", detail::Align::right},
                       {"activations", detail::Align::right}});
  const auto row = [&](const std::string& name, const std::string& type, const std::vector<int64_t>& shape,
                       const auto& counts) {
    table.add({name, type, shape.empty() ? "-" : c10::str(at::IntArrayRef(shape)), detail::grouped(counts.parameters),
               detail::grouped(counts.trainable), detail::short_count(counts.multiply_adds),
               detail::short_bytes(counts.activation_bytes)});
  };
  for (const LayerInfo& layer : layers) {
    const auto depth = static_cast<size_t>(std::count(layer.name.begin(), layer.name.end(), '.'));
    row(std::string(2 * depth, ' ') + layer.name, detail::short_type(layer.type), layer.shape, layer);
  }
  table.rule();
  row("total", "", output_shape, *this);
  std::string text = table.text() + "input " + c10::str(at::IntArrayRef(input_shape)) + "\n";
  if (!not_counted.empty())
    text += "multiply-adds inside of these are not counted: " + c10::Join(", ", not_counted) + "\n";
  return text;
}

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
/// Nothing of the model changes; it runs without gradients.
/// @param input `[N, ...]`: all figures are for this batch.
/// @throws c10::Error in training mode, where the pass would change batch norm.
inline Summary summary(const Model& model, const at::Tensor& input) {
  const detail::NotingRun run(model, input);
  const auto& totals = run.totals();
  Summary summary{
      {}, input.sizes().vec(), totals.output_shape, totals.parameters, totals.trainable, totals.multiply_adds,
      0,  totals.not_counted};
  for (const auto& row : run.rows()) {
    summary.layers.push_back(row.info);
    summary.activation_bytes += row.info.is_leaf ? row.info.activation_bytes : 0;
  }
  return summary;
}

}  // namespace sightglass
