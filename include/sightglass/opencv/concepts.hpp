#pragma once

#include <torch/arg.h>
#include <torch/types.h>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sightglass/opencv/overlay.hpp"
#include "sightglass/opencv/detail/text.hpp"

namespace sightglass {

/// Options of `draw_concepts`.
struct ConceptOptions {
  /// How much of a concept's colour shows where it is at strength 1.
  TORCH_ARG(double, alpha) = 0.75;
  /// A text for each concept, such as the class that the model takes it for; none: `concept 1`, `concept 2`, ...
  TORCH_ARG(std::vector<std::string>, labels) = {};
};

namespace detail {

/// Colours that people with any colour vision can tell apart (Okabe and Ito 2008), then three more; BGR.
inline const std::array<cv::Scalar, 10>& concept_colours() {
  static const std::array<cv::Scalar, 10> colours = {
      {cv::Scalar(0, 159, 230), cv::Scalar(233, 180, 86), cv::Scalar(115, 158, 0), cv::Scalar(66, 228, 240),
       cv::Scalar(167, 121, 204), cv::Scalar(178, 114, 0), cv::Scalar(0, 94, 213), cv::Scalar(60, 220, 150),
       cv::Scalar(220, 60, 120), cv::Scalar(150, 190, 255)}};
  return colours;
}

/// The strongest concept of each pixel: its colour, and its strength from 0 to 1.
struct ConceptLayer {
  cv::Mat colour;    // CV_8UC3
  cv::Mat strength;  // CV_32FC1
};

inline ConceptLayer strongest_concepts(const torch::Tensor& maps, const cv::Size& size) {
  ConceptLayer layer{cv::Mat(size, CV_8UC3, cv::Scalar::all(0)), cv::Mat(size, CV_32FC1, cv::Scalar(0))};
  const torch::Tensor values = maps.detach().to(torch::kCPU, torch::kFloat).clamp(0, 1).contiguous();
  for (int64_t k = 0; k < values.size(0); ++k) {
    torch::Tensor one = values[k];
    const cv::Mat map(static_cast<int>(one.size(0)), static_cast<int>(one.size(1)), CV_32FC1, one.data_ptr());
    cv::Mat enlarged;
    cv::resize(map, enlarged, size, 0, 0, cv::INTER_LINEAR);
    const cv::Mat stronger = enlarged > layer.strength;
    layer.colour.setTo(concept_colours()[static_cast<size_t>(k)], stronger);
    enlarged.copyTo(layer.strength, stronger);
  }
  return layer;
}

/// One line for each label, a patch of its colour before it, as wide as the picture.
inline cv::Mat concept_legend(const std::vector<std::string>& labels, int width) {
  const double height = std::clamp(width / 24.0, 8.0, 14.0);
  const int line = static_cast<int>(std::lround(2.2 * height)), patch = static_cast<int>(std::lround(1.3 * height));
  const int gap = (line - patch) / 2;
  cv::Mat legend(line * static_cast<int>(labels.size()) + gap, width, CV_8UC3, cv::Scalar::all(255));
  for (size_t k = 0; k < labels.size(); ++k) {
    const int top = static_cast<int>(k) * line + gap;
    cv::rectangle(legend, cv::Rect(gap, top, patch, patch), concept_colours()[k], cv::FILLED);
    const Text text = elide(labels[k], width - patch - 3 * gap, height);
    draw(legend, text, {static_cast<double>(patch + 2 * gap), top + (patch + height) / 2}, cv::Scalar::all(40));
  }
  return legend;
}

}  // namespace detail

/// Concepts over the photo, and a legend below it: each pixel in the colour of its strongest concept, the more of it
/// the stronger; the photo itself in grey, so that each colour is a concept's. Throws `c10::Error` for another type or
/// shape of either, NaN, or labels that are not one for each concept.
///
/// @param photo `CV_8UC3` BGR, or grey `CV_8UC1`.
/// @param maps `[K, h, w]`, one image of `Concepts::maps`, from 0 to 1; at most ten concepts.
/// @return `CV_8UC3` BGR, as wide as the photo and higher.
inline cv::Mat draw_concepts(const cv::Mat& photo, const torch::Tensor& maps,
                             const ConceptOptions& options = ConceptOptions()) {
  detail::check_picture(photo, "photo");
  TORCH_CHECK(maps.defined() && maps.is_floating_point() && maps.dim() == 3 && maps.numel() > 0, "maps: got ",
              maps.defined() ? c10::str(maps.scalar_type(), " ", maps.sizes()) : std::string("an undefined tensor"),
              "; expected floating-point [K, h, w], the concepts of one image: concepts.maps[0]");
  const size_t count = static_cast<size_t>(maps.size(0));
  TORCH_CHECK(count <= detail::concept_colours().size(), "maps: got ", count, " concepts; at most ",
              detail::concept_colours().size(), " can be told apart by colour");
  TORCH_CHECK(maps.isfinite().all().item<bool>(), "maps: hold NaN or infinity");
  TORCH_CHECK(options.alpha() >= 0 && options.alpha() <= 1, "alpha: is ", options.alpha(), "; expected 0 to 1");
  std::vector<std::string> labels = options.labels();
  for (size_t k = 0; options.labels().empty() && k < count; ++k) labels.push_back("concept " + std::to_string(k + 1));
  TORCH_CHECK(labels.size() == count, "labels: are ", labels.size(), "; expected one for each of ", count, " concepts");

  const detail::ConceptLayer layer = detail::strongest_concepts(maps, photo.size());
  cv::Mat grey = photo, background, blended, picture;
  if (photo.channels() == 3) cv::cvtColor(photo, grey, cv::COLOR_BGR2GRAY);
  cv::cvtColor(grey, background, cv::COLOR_GRAY2BGR);
  const cv::Mat weights = layer.strength * options.alpha();
  cv::blendLinear(layer.colour, background, weights, 1 - weights, blended);
  cv::vconcat(blended, detail::concept_legend(labels, photo.cols), picture);
  return picture;
}

}  // namespace sightglass
