#pragma once

#include "sightglass/model/summary.hpp"

#include "sightglass/inline.hpp"

namespace sightglass::detail {

SIGHTGLASS_INLINE std::string short_type(std::string type) {
  const size_t arguments = type.find('<');
  const size_t scope = type.rfind("::", arguments);
  if (scope != std::string::npos) type.erase(0, scope + 2);
  const std::string impl = "Impl";
  if (type.size() > impl.size() && type.compare(type.size() - impl.size(), impl.size(), impl) == 0) {
    type.erase(type.size() - impl.size());
  }
  return type;
}

}  // namespace sightglass::detail

namespace sightglass {

SIGHTGLASS_INLINE const LayerInfo& Summary::operator[](const std::string& name) const {
  const auto found = std::find_if(layers.begin(), layers.end(), [&](const auto& layer) { return layer.name == name; });
  std::vector<std::string> names;
  for (const LayerInfo& layer : layers) names.push_back(layer.name);
  TORCH_CHECK(found != layers.end(), "layer \"", name,
              "\": not in the summary; nearest: ", detail::nearest(name, names));
  return *found;
}

SIGHTGLASS_INLINE std::string Summary::text() const {
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

SIGHTGLASS_INLINE Summary summary(const Model& model, const at::Tensor& input) {
  const detail::NotingRun run(model, input, detail::Costs::counted);
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
